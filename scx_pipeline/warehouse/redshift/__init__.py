"""Amazon Redshift as a warehouse: COPY from S3, UNLOAD, and keys that are not enforced.

What is published, and when, is decided by the load.
"""
