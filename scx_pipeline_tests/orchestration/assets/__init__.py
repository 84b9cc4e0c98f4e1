"""Tests of `scx_pipeline.orchestration.assets`."""
