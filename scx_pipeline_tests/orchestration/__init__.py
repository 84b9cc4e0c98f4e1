"""Tests of the Dagster shell, without a browser: definitions, runs, checks, triggers, and dg's commands.
What a load does is in pipeline/, what a browser sees in ui/."""
