"""Retention and upkeep of a warehouse: expired rows, VACUUM, health reports.

Schedules that run it belong to orchestration.
"""
