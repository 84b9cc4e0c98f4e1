"""Parse CSV files: header, records, and the independent count of records.

Rules for typed values are shared by all formats and belong to the parent package.
"""
