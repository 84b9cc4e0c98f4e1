"""Runs: executing them in-process, detecting lost ones, and reading run history.

What a run does belongs to the assets.
"""
