"""Tests of `scx_pipeline.components`."""
