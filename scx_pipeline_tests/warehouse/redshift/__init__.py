"""Tests of `scx_pipeline.warehouse.redshift`.

Shared fixtures and servers are in `support`.
"""
