"""A stand-in for Amazon Redshift over PostgreSQL, strict about what Redshift does not accept.

How the product uses Redshift is tested in the warehouse package.
"""
