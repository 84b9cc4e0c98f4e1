"""Tests of the Dagster UI in a real browser, on a real S3 server: `dagster dev` as a user starts it.
What needs no browser is in orchestration/."""
