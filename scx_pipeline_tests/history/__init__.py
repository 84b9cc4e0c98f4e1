"""Tests of `scx_pipeline.history`.

Shared fixtures and servers are in `support`.
"""
