"""Tests of `scx_pipeline.warehouse.duckdb`."""
