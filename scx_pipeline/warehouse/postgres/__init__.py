"""PostgreSQL as a warehouse: binary COPY, native partitions, primary keys as a safety net.

What is published, and when, is decided by the load.
"""
