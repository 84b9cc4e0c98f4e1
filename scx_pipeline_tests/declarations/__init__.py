"""Tests of `scx_pipeline.declarations`.

Shared fixtures and servers are in `support`.
"""
