"""Tests of `scx_pipeline.lake.spark`.

Shared fixtures and servers are in `support`.
"""
