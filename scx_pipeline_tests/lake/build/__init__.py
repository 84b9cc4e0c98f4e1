"""Tests of `scx_pipeline.lake.build`.

Shared fixtures and servers are in `support`.
"""
