"""Parse Parquet files: the schema contract and typed scans.

Rules for typed values are shared by all formats and belong to the parent package.
"""
