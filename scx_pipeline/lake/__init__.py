"""The data lake: a star's tables as Parquet files in folders by year and month, with a manifest per commit.

Commands and Dagster assets do not belong here.
"""
