"""Tests of `scx_pipeline.loading`: files, buckets and warehouses that fail a load, which then changes nothing."""
