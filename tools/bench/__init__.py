"""Benchmarks: `make bench` times whole processes side by side and prints ratios.

No test asserts a time; benchmarks are run by hand, on a quiet machine.
"""
