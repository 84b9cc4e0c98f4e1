"""Tests of `scx_pipeline.warehouse.postgres`.

Shared fixtures and servers are in `support`.
"""
