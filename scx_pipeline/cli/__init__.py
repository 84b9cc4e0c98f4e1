"""The `scx` command: one module per command group, shared options, and rendering.

Commands read settings and options and call other packages; they contain no logic of their own.
"""
