"""Tests of `scx_pipeline.maintenance`."""
