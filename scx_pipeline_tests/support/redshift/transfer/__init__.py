"""COPY and UNLOAD of the stand-in: rows from the objects of a bucket, and back.

Other statements do not belong here.
"""
