"""SQL that creates tables over a star's lake in engines that read folders: Athena, Redshift Spectrum and Spark.

Nothing is read or changed in the lake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import MONTH_COLUMNS, file_columns, partition_columns
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.format.parquet_reader import NULL_PARTITION, partition_values
from scx_pipeline.lake.spark.spark_sql import spark_type
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.redshift.redshift_session import redshift_type
from scx_pipeline.warehouse.sql_text import quote, string_literal

PROJECTED_YEARS = 20  # after the latest month; Athena finds new months up to then
MAX_PARTITIONS = 100  # per ALTER TABLE
FOLDER_WARNING = "-- This engine reads folders, not the manifest: for seconds at each commit, a month may appear twice (docs/lake.md)."


# Athena


def athena_tables(star: Star, url: str, manifest: Manifest) -> str:
    """Return the statements that create a star's tables in Athena. Raises LakeError unless the lake is in S3."""
    _check_in_s3(url, "Athena")
    header = [
        f"-- {star.name} in {url}, for Athena (engine version 3): run the statements one by one.",
        FOLDER_WARNING,
        "-- Existing tables are not changed: DROP TABLE first if columns have changed (this deletes no files).",
        f"CREATE DATABASE IF NOT EXISTS {_backquote(star.schema_name)};",
    ]
    return _join(header, [athena_table(star, table, url, manifest) for table in star.tables])


def athena_table(star: Star, table: Table, url: str, manifest: Manifest) -> str:
    """Return the statements that create a table in Athena.

    Partitions by year and month are projected, so Athena finds new months automatically. Other partitions are added from the
    manifest, because projection would require a condition on them in every query.
    """
    name = f"{_backquote(star.schema_name)}.{_backquote(table.name)}"
    create = _external_table(f"IF NOT EXISTS {name}", table, url, _hive_type, _backquote)
    if partition_columns(table) == MONTH_COLUMNS:
        return f"{create}\n{_projection(star, table, url, manifest)};"
    return _terminate([create, *_add_partitions(name, table, manifest, url, _backquote)])


def _projection(star: Star, table: Table, url: str, manifest: Manifest) -> str:
    last = max([star.first_month, *manifest.months]).year + PROJECTED_YEARS
    template = f"{url}/{table.name}/" + "".join(f"{c.name}=${{{c.name}}}/" for c in MONTH_COLUMNS)
    properties = {
        "projection.enabled": "true",
        "projection.year.type": "integer",
        "projection.year.range": f"{star.first_month.year},{last}",
        "projection.month.type": "integer",
        "projection.month.range": "1,12",
        "storage.location.template": template,
    }
    listed = ",\n".join(
        f"  {string_literal(name)} = {string_literal(value)}" for name, value in properties.items()
    )
    return f"TBLPROPERTIES (\n{listed}\n)"


# Redshift Spectrum


def redshift_tables(star: Star, url: str, manifest: Manifest) -> str:
    """Return the statements that create a star's tables in an external schema. Raises LakeError unless the lake is in S3."""
    _check_in_s3(url, "Redshift Spectrum")
    schema = quote(external_schema(star))
    header = [
        f"-- {star.name} in {url}, for Redshift Spectrum: do not run it in a transaction.",
        FOLDER_WARNING,
        "-- A new month is visible once its partition is added: print and run this again after each commit with a new month.",
        "-- The role needs s3:GetObject and s3:ListBucket on the lake, and glue:* on the database; an existing schema is not changed.",
        f"CREATE EXTERNAL SCHEMA IF NOT EXISTS {schema}",
        f"FROM DATA CATALOG DATABASE {string_literal(external_schema(star))}",
        "IAM_ROLE default",
        "CREATE EXTERNAL DATABASE IF NOT EXISTS;",
    ]
    return _join(header, [redshift_table(star, table, url, manifest) for table in star.tables])


def external_schema(star: Star) -> str:
    """Return the external schema's name; the star's own schema holds the tables that Redshift stores."""
    return f"{star.schema_name}_lake"


def redshift_table(star: Star, table: Table, url: str, manifest: Manifest) -> str:
    """Return the statements that drop and create a table in Spectrum, with the folders in the manifest as partitions."""
    name = f"{quote(external_schema(star))}.{quote(table.name)}"
    create = _external_table(name, table, url, redshift_type, quote)
    partitions = _add_partitions(name, table, manifest, url, quote)
    return _terminate([f"DROP TABLE IF EXISTS {name}", create, *partitions])


# Spark


def spark_tables(star: Star, url: str, manifest: Manifest) -> str:
    """Return the statements that create a star's tables in Spark's catalog."""
    header = [
        f"-- {star.name} in {url}, for Spark 3.4 or newer. Outside EMR, write s3a:// for s3://.",
        FOLDER_WARNING,
        "-- After a commit: REFRESH TABLE; for partitioned tables first MSCK REPAIR TABLE, which finds new months.",
        f"CREATE DATABASE IF NOT EXISTS {_backquote(star.schema_name)};",
    ]
    return _join(header, [spark_table(star, table, url) for table in star.tables])


def spark_table(star: Star, table: Table, url: str) -> str:
    """Return the statements that create a table in Spark's catalog and find its partitions."""
    name = f"{_backquote(star.schema_name)}.{_backquote(table.name)}"
    folders = partition_columns(table)
    create = [
        f"CREATE TABLE IF NOT EXISTS {name} (",
        _column_list((*file_columns(table), *folders), spark_type, _backquote),
        ")",
        "USING parquet",
        f"OPTIONS (path {string_literal(f'{url}/{table.name}')})",
    ]
    if not folders:
        return "\n".join(create) + ";"
    create.append(f"PARTITIONED BY ({', '.join(_backquote(column.name) for column in folders)})")
    return "\n".join(create) + f";\n\nMSCK REPAIR TABLE {name};"


# Shared by all engines

TypeOf = Callable[[Column], str]
Quote = Callable[[str], str]


def _check_in_s3(url: str, engine: str) -> None:
    if not url.startswith("s3://"):
        raise LakeError(f"{engine} reads from S3, but the lake is {url}: set --lake to s3://bucket/prefix")


def _column_list(columns: Sequence[Column], type_of: TypeOf, quoted: Quote) -> str:
    return ",\n".join(f"  {quoted(column.name)} {type_of(column)}" for column in columns)


def _join(header: Sequence[str], tables: Sequence[str]) -> str:
    return "\n\n".join(["\n".join(header), *tables]) + "\n"


def _terminate(statements: Sequence[str]) -> str:
    return "\n\n".join(f"{statement};" for statement in statements)


def _external_table(name: str, table: Table, url: str, type_of: TypeOf, quoted: Quote) -> str:
    lines = [
        f"CREATE EXTERNAL TABLE {name} (",
        _column_list(file_columns(table), type_of, quoted),
        ")",
        *_partition_clause(table, type_of, quoted),
        "STORED AS PARQUET",
        f"LOCATION {string_literal(f'{url}/{table.name}/')}",
    ]
    return "\n".join(lines)


def _partition_clause(table: Table, type_of: TypeOf, quoted: Quote) -> list[str]:
    folders = [f"{quoted(column.name)} {type_of(column)}" for column in partition_columns(table)]
    return [f"PARTITIONED BY ({', '.join(folders)})"] if folders else []


def _add_partitions(name: str, table: Table, manifest: Manifest, url: str, quoted: Quote) -> list[str]:
    """Return the statements that add the folders in which a table has files as partitions."""
    if not partition_columns(table):
        return []
    folders = {item.key.rpartition("/")[0] for item in manifest.select_files(table.name)}
    parts = []
    for folder in sorted(folders, key=_natural_order):
        values = ", ".join(_partition_assignments(table, folder, quoted))
        parts.append(f"PARTITION ({values})\n  LOCATION {string_literal(f'{url}/{folder}/')}")
    batches = [parts[at : at + MAX_PARTITIONS] for at in range(0, len(parts), MAX_PARTITIONS)]
    return ["\n".join([f"ALTER TABLE {name} ADD IF NOT EXISTS", *batch]) for batch in batches]


def _natural_order(folder: str) -> list[tuple[int, str]]:
    """Return a sort key that puts month 2 before month 10."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D+)(\d*)", folder)]


def _partition_assignments(table: Table, folder: str, quoted: Quote) -> Iterator[str]:
    values = partition_values(f"{folder}/")
    for column in partition_columns(table):
        value = values[column.name]
        plain = value is not None and column.type in ("smallint", "integer", "bigint")
        yield f"{quoted(column.name)} = {value if plain else string_literal(value if value is not None else NULL_PARTITION)}"


def _hive_type(column: Column) -> str:
    if column.max_bytes is not None:
        return "string"
    return "int" if column.type == "integer" else column.type


def _backquote(name: str) -> str:
    return f"`{name}`"
