"""Tests of `scx_pipeline.loading.ingest`."""
