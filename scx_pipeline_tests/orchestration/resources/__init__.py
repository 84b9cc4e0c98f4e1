"""Tests of `scx_pipeline.orchestration.resources`.

Shared fixtures and servers are in `support`.
"""
