"""Tests of the package as it is installed from its wheel: in another Dagster project, and in an empty folder."""
