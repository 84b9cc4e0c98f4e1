"""SQL that lets DuckDB, Athena, Redshift Spectrum and Spark read a lake.

Nothing here changes a lake.
"""
