"""Tests of `scx_pipeline.ownership`."""
