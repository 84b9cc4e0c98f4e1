"""Tests of `scx_pipeline.ownership`.

Shared fixtures and servers are in `support`.
"""
