"""Immutable declarations and the calendar that every other package shares: stars, tables, columns, months.

I/O, SQL text and engines do not belong here.
"""
