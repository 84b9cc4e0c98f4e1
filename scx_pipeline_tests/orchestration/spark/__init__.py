"""Tests of `scx_pipeline.orchestration.spark`.

Shared fixtures and servers are in `support`.
"""
