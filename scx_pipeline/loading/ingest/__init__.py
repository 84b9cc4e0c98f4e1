"""The ingestion of source objects into a staging table: parse or copy, reject, filter, deduplicate, count.

Checks of the result, and tables derived from it, do not belong here.
"""
