"""Turns a star's folder into a compiled star: declarations from YAML, validated SQL, dialects and lineage.

Nothing here connects to a database or a bucket.
"""
