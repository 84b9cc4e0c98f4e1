"""Maintenance of a warehouse: retention of rows, VACUUM and similar statements, health reports.

Schedules that run it belong to orchestration.
"""
