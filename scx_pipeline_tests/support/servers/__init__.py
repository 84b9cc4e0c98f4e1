"""Real servers for the tests: PostgreSQL, S3, proxies, mail and webhook receivers.

How the product uses them is tested elsewhere.
"""
