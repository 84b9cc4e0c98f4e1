"""A star's folder becomes a compiled star: YAML facts, validated SQL, dialects and lineage.

Nothing here connects to a database or a bucket.
"""
