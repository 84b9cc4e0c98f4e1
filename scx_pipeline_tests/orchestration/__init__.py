"""Tests of the Dagster shell, without a browser: definitions, runs, checks, triggers, and the commands of dg."""
