"""Where a load reads its rows: the interface of a source, and the objects of a bucket.

Reading a single object does not belong here.
"""
