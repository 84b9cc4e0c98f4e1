"""Tests of `scx_pipeline.model`.

Shared fixtures and servers are in `support`.
"""
