"""Tests of `scx_pipeline.parsing.csv`."""
