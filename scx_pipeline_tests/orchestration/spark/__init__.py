"""Tests of `scx_pipeline.orchestration.spark`."""
