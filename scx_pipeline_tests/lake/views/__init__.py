"""Tests of `scx_pipeline.lake.views`.

Shared fixtures and servers are in `support`.
"""
