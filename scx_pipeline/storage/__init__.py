"""Bytes in folders and in S3: listing, reading, writing, temporary folders, and one translation of a store's errors.

What an object contains, and which objects a month needs, is decided in other packages.
"""
