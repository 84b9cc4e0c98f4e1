"""DuckDB as a warehouse: one file, one writing process, readers see the last commit.

What is published, and when, is decided by the load.
"""
