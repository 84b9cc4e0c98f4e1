"""Tests of `scx_pipeline.parsing.csv`.

Shared fixtures and servers are in `support`.
"""
