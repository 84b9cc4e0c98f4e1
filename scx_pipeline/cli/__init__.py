"""The `scx` command: its commands, shared options, the runs that it starts, and how results are rendered.

Logic that is also of use without a terminal does not belong here.
"""
