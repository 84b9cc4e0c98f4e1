"""Views over a star's lake for DuckDB: each query reads the manifest that is current at its start, and so exactly one commit.

Nothing is changed in the lake.
"""

from __future__ import annotations

from pathlib import Path

from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import partition_columns
from scx_pipeline.lake.format.manifest import MANIFEST_FOLDER, Manifest
from scx_pipeline.lake.views.external_tables import athena_tables, redshift_tables, spark_tables
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_connection import duckdb_type
from scx_pipeline.warehouse.sql_text import qualified, quote, string_literal

UNSAFE_CHARACTERS = "*?[]{}=\\"  # in a lake's path: some engine takes them for patterns, columns or escapes
FILE_COLUMN = "_object"  # a column name that no table can have
EMPTY_COLUMN = "empty"  # the only column that read_parquet returns for no files
CONCURRENT_COMMIT = "the lake was written while the query started: run the query again"


def views_script(reader: str, star: Star, store: LakeStore, manifest: Manifest) -> str:
    """Return the SQL script with which an engine reads a star's tables. Raises LakeError if it cannot read the lake."""
    scripts = {
        "duckdb": duckdb_views,
        "athena": athena_tables,
        "redshift": redshift_tables,
        "spark": spark_tables,
    }
    return scripts[reader](star, checked_folder(store), manifest)


def checked_folder(store: LakeStore) -> str:
    """Return the star's folder as engines address it. Raises LakeError if its path has characters with another meaning."""
    folder = store.url if store.folder is None else str(store.folder)
    unsafe = sorted(set(folder) & set(UNSAFE_CHARACTERS))
    if unsafe:
        raise LakeError(
            f"the path {folder} (SCX_LAKE_URL or --lake) has characters with another meaning in SQL: {' '.join(unsafe)}: "
            "move the lake, or link to it from a path without them"
        )
    return folder


def duckdb_views(star: Star, folder: str, manifest: Manifest) -> str:
    """Return the script that creates views of a star's tables. Raises LakeError if a view would be wrong."""
    for table in star.tables:
        if EMPTY_COLUMN in table.column_names:
            raise LakeError(
                f"{table.name} has a column {EMPTY_COLUMN}, which DuckDB uses for tables without files: rename the column"
            )
    lines = [
        f"-- {star.name} in {folder}, for DuckDB 2.0 or newer.",
        "-- A query sees exactly one commit in all its tables: the latest when it starts. The views need no update after a commit.",
    ]
    if folder.startswith("s3://"):
        lines.append(
            "-- In each session: INSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);"
        )
    lines.append(f"CREATE SCHEMA IF NOT EXISTS {quote(star.schema_name)};")
    views = [duckdb_view(star, table, folder) for table in star.tables]
    return "\n\n".join(["\n".join(lines), *views]) + "\n"


def duckdb_view(star: Star, table: Table, folder: str) -> str:
    """Return the statement that creates a table's view, with the declared columns in their order and of their types.

    The view compares three listings, which DuckDB reads one after the other: the manifests, when the query is bound; the
    table's files, bound next; and the manifests again, when the query starts to run, because only the first of several patterns
    is expanded earlier. If the latest manifest is the same both times, then all its files existed in between.
    """
    manifests = string_literal(f"{folder}/{MANIFEST_FOLDER}/*.json")
    key = f"$.tables.{quote(table.name)}[*].key"
    listed = ",\n".join(_column(column.name, duckdb_type(column)) for column in table.columns)
    return f"""CREATE OR REPLACE VIEW {qualified(star.schema_name, table)} AS
SELECT files.* EXCLUDE ({FILE_COLUMN})
FROM (
  SELECT unnest(CAST(json_extract_string(content, {string_literal(key)}) AS VARCHAR[])) AS key
  FROM (
    SELECT CASE WHEN newest.filename IS NOT NULL THEN coalesce(content, error({string_literal(CONCURRENT_COMMIT)})) END AS content
    FROM (SELECT max(filename) AS filename FROM read_text([{manifests}, {manifests}], allow_empty = true)) AS newest
    LEFT JOIN read_text({manifests}, allow_empty = true) AS listed ON listed.filename = newest.filename
  )
) AS manifest
INNER JOIN (
  SELECT
{listed},
{_column(FILE_COLUMN, "VARCHAR")}
  FROM read_parquet(
    {string_literal(f"{folder}/{table.name}/**/*.parquet")},
    {_options(table)}
  )
) AS files ON files.{FILE_COLUMN} = {string_literal(f"{folder}/")} || manifest.key;"""


def _column(name: str, kind: str) -> str:
    """Return a column of the files; without files, DuckDB has only a column `empty`. A file without the column is an error."""
    return f"    CAST(COLUMNS('^({name}|{EMPTY_COLUMN})$') AS {kind}) AS {quote(name)}"


def _options(table: Table) -> str:
    options = [f"filename = '{FILE_COLUMN}'", "allow_empty = true"]
    folders = partition_columns(table)
    if folders:
        types = ", ".join(f"{string_literal(column.name)}: {duckdb_type(column)}" for column in folders)
        options += ["hive_partitioning = true", f"hive_types = {{{types}}}"]
    else:
        options.append("hive_partitioning = false")
    return ", ".join(options)


def create_views(path: Path, script: str) -> None:
    """Create the views in a DuckDB file, all or none; the file is created if needed. Raises PipelineError."""
    import duckdb

    try:
        with duckdb.connect(str(path)) as con:
            con.begin()
            con.execute(script)
            con.commit()
    except duckdb.CatalogException as error:
        raise PipelineError(
            f"{path} already has tables with these names, like a warehouse: name another file ({first_line(error)})"
        ) from error
    except duckdb.Error as error:
        raise PipelineError(f"cannot create the views in {path}: {first_line(error)}") from error
