"""Tests of pure functions: no server, no Dagster run, milliseconds each.
What needs a real server belongs in a slower tier; collection refuses it here."""
