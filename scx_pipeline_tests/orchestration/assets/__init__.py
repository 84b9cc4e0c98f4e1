"""Tests of `scx_pipeline.orchestration.assets`.

Shared fixtures and servers are in `support`.
"""
