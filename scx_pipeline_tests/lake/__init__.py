"""Tests of `scx_pipeline.lake`.

Shared fixtures and servers are in `support`.
"""
