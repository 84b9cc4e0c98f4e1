"""Environments for tests of Dagster's runs, sensors and schedules.

Jobs are run in the test's own process.
"""
