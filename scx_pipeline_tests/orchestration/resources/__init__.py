"""Tests of `scx_pipeline.orchestration.resources`."""
