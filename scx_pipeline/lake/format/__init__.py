"""The lake's files: folder layout, manifests, commits, and reading and writing Parquet.

Which rows a table holds is decided by a build.
"""
