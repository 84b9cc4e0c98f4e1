"""Load a star: stage objects, transform, check, record and commit, for any target.

No Dagster, no settings and no SQL of a single engine belongs here.
"""
