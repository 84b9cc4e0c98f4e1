"""Tests of `scx_pipeline.parsing`.

Shared fixtures and servers are in `support`.
"""
