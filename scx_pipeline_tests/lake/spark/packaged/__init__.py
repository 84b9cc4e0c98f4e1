"""Tests of `scx_pipeline.lake.spark.packaged`.

Shared fixtures and servers are in `support`.
"""
