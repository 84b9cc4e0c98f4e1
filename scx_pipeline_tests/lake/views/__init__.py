"""Tests of `scx_pipeline.lake.views`."""
