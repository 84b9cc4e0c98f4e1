"""Tests of `scx_pipeline.orchestration.runs`."""
