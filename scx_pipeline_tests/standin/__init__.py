"""A strict stand-in for Amazon Redshift: it takes what Redshift takes, and refuses what Redshift refuses.
A server for the tests only; the adapter that is driven against it is in scx_pipeline/warehouse."""
