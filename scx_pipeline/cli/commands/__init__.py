"""The commands of `scx`, one module per group.

Commands read settings and options and call other packages; they contain no logic of their own.
"""
