"""Tests of `scx_pipeline.storage`."""
