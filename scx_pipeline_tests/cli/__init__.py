"""Tests of the `scx` command: output, JSON, exit codes and error messages."""
