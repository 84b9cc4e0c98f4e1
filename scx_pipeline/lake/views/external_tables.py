"""Tables over a star's lake for engines that read folders: Athena, Redshift Spectrum and Spark, as SQL text.
Views for DuckDB, which read the manifest, are in `views`; nothing here reads the lake or changes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.layout import FOLDERS, file_columns, folders_of
from scx_pipeline.lake.format.manifest import Manifest
from scx_pipeline.lake.format.parquet_reader import NO_VALUE, folder_values
from scx_pipeline.model.column import Column
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.values import literal
from scx_pipeline.warehouse.sql_text import quote

YEARS_AHEAD = 20  # beyond the newest month, of which Athena looks for folders
PARTITIONS = 100  # that one ALTER TABLE may add
SEEN_TWICE = "-- Folders are read, not the manifest: for seconds at each commit, a month may be seen twice (docs/lake.md)."


# Athena


def athena_tables(star: Star, url: str, manifest: Manifest) -> str:
    """The statements that make a star's tables in Athena; they are to be run one by one. Raises LakeError unless it is in S3."""
    _check_in_s3(url, "Athena")
    lines = [
        f"-- {star.name} in {url}, for Athena (engine version 3): run the statements one by one.",
        SEEN_TWICE,
        "-- What stands stays as it is: DROP TABLE first where columns have changed (no file is touched by that).",
        f"CREATE DATABASE IF NOT EXISTS {_ticked(star.schema_name)};",
    ]
    made = [athena_table(star, table, url, manifest) for table in star.tables]
    return "\n\n".join(["\n".join(lines), *made]) + "\n"


def athena_table(star: Star, table: Table, url: str, manifest: Manifest) -> str:
    """A table in Athena. Folders of year and month are projected, so that new months are found by themselves; folders of
    other columns are added from the manifest, since only queries that name a value of theirs could project them."""
    name = f"{_ticked(star.schema_name)}.{_ticked(table.name)}"
    projected = folders_of(table) == FOLDERS
    made = "\n".join(
        [
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {name} (",
            _listed(file_columns(table), _hive_type, _ticked),
            ")",
            *_partitioned(table, _hive_type, _ticked),
            "STORED AS PARQUET",
            f"LOCATION {literal(f'{url}/{table.name}/')}",
            *(_projection(star, table, url, manifest) if projected else ()),
        ]
    )
    added = (
        [] if projected else _added(f"ALTER TABLE {name} ADD IF NOT EXISTS", table, manifest, url, _ticked)
    )
    return "\n\n".join(f"{statement};" for statement in [made, *added])


def _projection(star: Star, table: Table, url: str, manifest: Manifest) -> list[str]:
    last = max([star.first_month, *manifest.months]).year + YEARS_AHEAD
    template = f"{url}/{table.name}/" + "".join(f"{c.name}=${{{c.name}}}/" for c in FOLDERS)
    facts = {
        "projection.enabled": "true",
        "projection.year.type": "integer",
        "projection.year.range": f"{star.first_month.year},{last}",
        "projection.month.type": "integer",
        "projection.month.range": "1,12",
        "storage.location.template": template,
    }
    listed = ",\n".join(f"  {literal(name)} = {literal(value)}" for name, value in facts.items())
    return [f"TBLPROPERTIES (\n{listed}\n)"]


# Redshift Spectrum


def redshift_tables(star: Star, url: str, manifest: Manifest) -> str:
    """The statements that make a star's tables in an external schema of Redshift. Raises LakeError unless it is in S3."""
    _check_in_s3(url, "Redshift Spectrum")
    schema = quote(external_schema(star))
    lines = [
        f"-- {star.name} in {url}, for Redshift Spectrum: not inside a transaction.",
        SEEN_TWICE,
        "-- A month that is new is seen when its partition was added: print this again, and run it.",
        "-- The role needs s3:GetObject and s3:ListBucket there, and glue:* of the database; a schema of that name stays as it is.",
        f"CREATE EXTERNAL SCHEMA IF NOT EXISTS {schema}",
        f"FROM DATA CATALOG DATABASE {literal(external_schema(star))}",
        "IAM_ROLE default",
        "CREATE EXTERNAL DATABASE IF NOT EXISTS;",
    ]
    made = [redshift_table(star, table, url, manifest) for table in star.tables]
    return "\n\n".join(["\n".join(lines), *made]) + "\n"


def external_schema(star: Star) -> str:
    """The external schema's name: the star's own is that of the tables which Redshift keeps itself."""
    return f"{star.schema_name}_lake"


def redshift_table(star: Star, table: Table, url: str, manifest: Manifest) -> str:
    """A table in Spectrum, with the folders that the manifest lists as its partitions; made anew, as none may be replaced."""
    name = f"{quote(external_schema(star))}.{quote(table.name)}"
    made = "\n".join(
        [
            f"CREATE EXTERNAL TABLE {name} (",
            _listed(file_columns(table), _redshift_type, quote),
            ")",
            *_partitioned(table, _redshift_type, quote),
            "STORED AS PARQUET",
            f"LOCATION {literal(f'{url}/{table.name}/')}",
        ]
    )
    added = _added(f"ALTER TABLE {name} ADD IF NOT EXISTS", table, manifest, url, quote)
    return "\n\n".join(f"{statement};" for statement in [f"DROP TABLE IF EXISTS {name}", made, *added])


# Spark


def spark_tables(star: Star, url: str, manifest: Manifest) -> str:
    """The statements that make a star's tables in Spark's catalogue."""
    lines = [
        f"-- {star.name} in {url}, for Spark 3.4 or newer. Outside EMR, write s3a:// for s3://.",
        SEEN_TWICE,
        "-- After a commit: REFRESH TABLE, and of tables in folders first MSCK REPAIR TABLE, which finds new months.",
        f"CREATE DATABASE IF NOT EXISTS {_ticked(star.schema_name)};",
    ]
    made = [spark_table(star, table, url) for table in star.tables]
    return "\n\n".join(["\n".join(lines), *made]) + "\n"


def spark_table(star: Star, table: Table, url: str) -> str:
    """A table in Spark's catalogue; its partitions are found in the folders when it is repaired."""
    name = f"{_ticked(star.schema_name)}.{_ticked(table.name)}"
    folders = folders_of(table)
    made = [
        f"CREATE TABLE IF NOT EXISTS {name} (",
        _listed((*file_columns(table), *folders), _spark_type, _ticked),
        ")",
        "USING parquet",
        f"OPTIONS (path {literal(f'{url}/{table.name}')})",
    ]
    if not folders:
        return "\n".join(made) + ";"
    made.append(f"PARTITIONED BY ({', '.join(_ticked(column.name) for column in folders)})")
    return "\n".join(made) + f";\n\nMSCK REPAIR TABLE {name};"


# What they have in common

TypeOf = Callable[[Column], str]
Quote = Callable[[str], str]


def _check_in_s3(url: str, engine: str) -> None:
    if not url.startswith("s3://"):
        raise LakeError(f"{engine} reads from S3, and the lake is {url}: set --lake to s3://bucket/prefix")


def _listed(columns: Sequence[Column], type_of: TypeOf, quoted: Quote) -> str:
    return ",\n".join(f"  {quoted(column.name)} {type_of(column)}" for column in columns)


def _partitioned(table: Table, type_of: TypeOf, quoted: Quote) -> list[str]:
    folders = [f"{quoted(column.name)} {type_of(column)}" for column in folders_of(table)]
    return [f"PARTITIONED BY ({', '.join(folders)})"] if folders else []


def _added(statement: str, table: Table, manifest: Manifest, url: str, quoted: Quote) -> list[str]:
    """The statements that add the folders in which a table has files, as partitions."""
    if not folders_of(table):
        return []
    found = sorted({item.key.rpartition("/")[0] for item in manifest.of(table.name)}, key=_in_order)
    parts = [
        f"PARTITION ({', '.join(_assigned(table, folder, quoted))})\n  LOCATION {literal(f'{url}/{folder}/')}"
        for folder in found
    ]
    return ["\n".join([statement, *parts[at : at + PARTITIONS]]) for at in range(0, len(parts), PARTITIONS)]


def _in_order(folder: str) -> list[tuple[int, str]]:
    """Months as they follow each other, and not 10 before 2."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D+)(\d*)", folder)]


def _assigned(table: Table, folder: str, quoted: Quote) -> Iterator[str]:
    values = folder_values(f"{folder}/")
    for column in folders_of(table):
        value = values[column.name]
        plain = value is not None and column.type in ("smallint", "integer", "bigint")
        yield f"{quoted(column.name)} = {value if plain else literal(value if value is not None else NO_VALUE)}"


def _hive_type(column: Column) -> str:
    if column.max_bytes is not None:
        return "string"
    return "int" if column.type == "integer" else column.type


def _redshift_type(column: Column) -> str:
    if column.max_bytes is not None:
        return f"VARCHAR({column.max_bytes})"
    return "DOUBLE PRECISION" if column.type == "double" else column.type.upper()


def _spark_type(column: Column) -> str:
    if column.max_bytes is not None:
        return "STRING"
    kinds: Mapping[str, str] = {"integer": "INT", "timestamp": "TIMESTAMP_NTZ"}
    return kinds.get(column.type, column.type.upper())


def _ticked(name: str) -> str:
    return f"`{name}`"
