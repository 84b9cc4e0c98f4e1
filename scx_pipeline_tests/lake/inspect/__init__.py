"""Tests of `scx_pipeline.lake.inspect`.

Shared fixtures and servers are in `support`.
"""
