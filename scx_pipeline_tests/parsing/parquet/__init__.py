"""Tests of `scx_pipeline.parsing.parquet`.

Shared fixtures and servers are in `support`.
"""
