"""Tests of `scx_pipeline.storage`.

Shared fixtures and servers are in `support`.
"""
