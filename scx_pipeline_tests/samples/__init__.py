"""Tests of `scx_pipeline.samples`."""
