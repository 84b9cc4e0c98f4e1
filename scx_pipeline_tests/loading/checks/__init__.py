"""Tests of `scx_pipeline.loading.checks`."""
