"""Tests of `scx_pipeline.parsing.json`.

Shared fixtures and servers are in `support`.
"""
