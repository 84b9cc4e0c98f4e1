"""Build a star's tables as a lake, or export them from a warehouse into one.

The file format and the commit protocol belong to `format`.
"""
