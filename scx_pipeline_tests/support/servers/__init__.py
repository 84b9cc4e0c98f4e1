"""Real servers for the tests: PostgreSQL, S3, proxies, mail and webhook receivers."""
