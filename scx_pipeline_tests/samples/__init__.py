"""Tests of `scx_pipeline.samples`.

Shared fixtures and servers are in `support`.
"""
