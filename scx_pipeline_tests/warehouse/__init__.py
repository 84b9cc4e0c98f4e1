"""Tests of `scx_pipeline.warehouse`.

Shared fixtures and servers are in `support`.
"""
