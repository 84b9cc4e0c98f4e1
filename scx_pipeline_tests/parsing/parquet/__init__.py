"""Tests of `scx_pipeline.parsing.parquet`."""
