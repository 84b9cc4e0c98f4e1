"""Tests of `scx_pipeline.planning`.

Shared fixtures and servers are in `support`.
"""
