"""Tests of `scx_pipeline.maintenance`.

Shared fixtures and servers are in `support`.
"""
