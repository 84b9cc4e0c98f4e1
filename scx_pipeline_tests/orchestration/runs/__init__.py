"""Tests of `scx_pipeline.orchestration.runs`.

Shared fixtures and servers are in `support`.
"""
