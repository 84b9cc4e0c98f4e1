"""Tests of `scx_pipeline.declarations`."""
