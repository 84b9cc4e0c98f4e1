"""The data lake: a star's tables as Parquet in folders by year and month, for Spark, Athena, DuckDB and whoever else reads it.
How an engine writes files is in `warehouse`; the commands are in `cli_lake`."""
