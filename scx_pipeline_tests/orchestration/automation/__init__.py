"""Tests of `scx_pipeline.orchestration.automation`."""
