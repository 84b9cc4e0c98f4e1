"""Tests of `scx_pipeline.planning`."""
