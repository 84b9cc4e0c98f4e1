"""Read-only views of a published star: analysts' queries, status, rejected rows, freshness and volume.

Rendering in a terminal or the UI belongs to the callers.
"""
