"""Tests of `scx_pipeline.lake.spark.packaged`."""
