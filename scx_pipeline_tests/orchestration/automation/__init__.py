"""Tests of `scx_pipeline.orchestration.automation`.

Shared fixtures and servers are in `support`.
"""
