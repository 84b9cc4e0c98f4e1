"""A stand-in for Amazon Redshift over PostgreSQL, strict about what Redshift does not accept."""
