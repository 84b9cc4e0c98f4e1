"""A process of the scenario `lake`: the complete lake, rebuilt as the original project did, by Spark on two cores.

It has no checks, no rejected rows and no load history.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tools.bench.lake_build import print_start_seconds, start_spark

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLAYS = """
SELECT *, CAST(ts / 1000 AS TIMESTAMP) AS start_time FROM events WHERE page = 'NextSong'
"""
# By table: what it is made of, and the columns that name its folders.
TABLES = {
    "songs": ("SELECT DISTINCT song_id, title, artist_id, year, duration FROM song_data", ("year", "artist_id")),
    "artists": (
        "SELECT DISTINCT artist_id, artist_name AS name, artist_location AS location, artist_latitude AS latitude, "
        "artist_longitude AS longitude FROM song_data",
        (),
    ),
    "users": (
        "SELECT DISTINCT userId AS user_id, firstName AS first_name, lastName AS last_name, gender, level FROM plays",
        (),
    ),
    "time": (
        "SELECT DISTINCT start_time, hour(start_time) AS hour, day(start_time) AS day, weekofyear(start_time) AS week, "
        "month(start_time) AS month, year(start_time) AS year, dayofweek(start_time) AS weekday FROM plays",
        ("year", "month"),
    ),
    # Numbers of rows, which another run gives to other plays.
    "songplays": (
        "SELECT monotonically_increasing_id() AS songplay_id, p.start_time, p.userId AS user_id, p.level, s.song_id, "
        "s.artist_id, p.sessionId AS session_id, p.location, p.userAgent AS user_agent, year(p.start_time) AS year, "
        "month(p.start_time) AS month FROM plays AS p "
        "LEFT JOIN song_data AS s ON p.song = s.title AND p.artist = s.artist_name AND p.length = s.duration",
        ("year", "month"),
    ),
}  # fmt: skip


def build(spark: SparkSession, bucket: str, lake: str) -> None:
    """Read all files, and write all tables."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.read.json(f"{bucket}/song_data/*/*/*/*.json").createOrReplaceTempView("song_data")
    spark.read.json(f"{bucket}/log_data/*/*/*.json").createOrReplaceTempView("events")
    spark.sql(PLAYS).createOrReplaceTempView("plays")
    for name, (select, folders) in TABLES.items():
        spark.sql(select).write.mode("overwrite").partitionBy(*folders).parquet(f"{lake}/{name}")


def main() -> None:
    bucket, lake = sys.argv[1:]
    spark = start_spark()
    print_start_seconds()
    build(spark, bucket, lake)


if __name__ == "__main__":
    main()
