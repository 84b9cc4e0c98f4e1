"""Tests of `scx_pipeline.model`."""
