"""Tests of `scx_pipeline.lake.format`.

Shared fixtures and servers are in `support`.
"""
