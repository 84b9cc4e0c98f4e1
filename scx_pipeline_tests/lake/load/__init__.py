"""Tests of `scx_pipeline.lake.load`.

Shared fixtures and servers are in `support`.
"""
