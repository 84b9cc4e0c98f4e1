"""Parse JSON lines and JSON documents: field mapping, records, and the independent count of lines.

Rules for typed values are shared by all formats and belong to the parent package.
"""
