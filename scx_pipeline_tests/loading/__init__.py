"""Tests of `scx_pipeline.loading`.

Shared fixtures and servers are in `support`.
"""
