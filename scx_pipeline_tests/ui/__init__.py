"""Tests of the Dagster UI in a real browser, with a real S3 server: `dagster dev` as a user starts it."""
