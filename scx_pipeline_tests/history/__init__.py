"""Tests of `scx_pipeline.history`."""
