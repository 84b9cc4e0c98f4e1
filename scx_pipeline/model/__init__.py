"""Frozen facts that every other package shares: stars, tables, columns, months.

No I/O, no SQL text and no engine belongs here.
"""
