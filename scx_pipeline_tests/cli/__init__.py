"""Tests of the `scx` command: output, JSON, exit codes and error messages.

What the packages below do is tested in their own folders.
"""
