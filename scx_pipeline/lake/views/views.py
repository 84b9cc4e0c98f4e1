"""Views over a star's lake for DuckDB: each query reads the manifest that is the newest then, and so exactly one commit.
Tables for engines that read folders are in `external`; nothing of the lake is changed."""

from __future__ import annotations

from pathlib import Path

from scx_pipeline.errors import LakeError, PipelineError
from scx_pipeline.lake.format.lake_store import LakeStore
from scx_pipeline.lake.format.layout import folders_of
from scx_pipeline.lake.format.manifest import MANIFESTS, Manifest
from scx_pipeline.lake.views.external_tables import athena_tables, redshift_tables, spark_tables
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.values import literal
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.duckdb.duckdb_warehouse import duckdb_type
from scx_pipeline.warehouse.sql_text import qualified, quote

MISREAD = "*?[]{}=\\"  # in the lake's own path: patterns, columns or escapes to one engine or another
FILE = "_object"  # a column that no table can have
EMPTY = "empty"  # what read_parquet gives of no files
CHANGED = "the lake was written just as the query began: run it again"


def views_for(reader: str, star: Star, place: LakeStore, manifest: Manifest) -> str:
    """The script by which an engine reads a star's tables. Raises LakeError where it cannot read the lake."""
    made = {
        "duckdb": duckdb_views,
        "athena": athena_tables,
        "redshift": redshift_tables,
        "spark": spark_tables,
    }
    return made[reader](star, folder_of_lake(place), manifest)


def folder_of_lake(place: LakeStore) -> str:
    """The star's folder as engines find it. Raises LakeError where one would take its path for something else."""
    folder = place.url if place.folder is None else str(place.folder)
    strange = sorted(set(folder) & set(MISREAD))
    if strange:
        raise LakeError(
            f"{' '.join(strange)} in {folder} (SCX_LAKE_URL or --lake) would be misread in SQL: move the lake, or link to it from a "
            "path without"
        )
    return folder


def duckdb_views(star: Star, folder: str, manifest: Manifest) -> str:
    """The script that makes the views of a star's tables, in the star's schema. Raises LakeError where a view would be wrong."""
    for table in star.tables:
        if EMPTY in table.column_names:
            raise LakeError(
                f"{table.name} has a column {EMPTY}, which DuckDB takes for no files: give it another name"
            )
    lines = [
        f"-- {star.name} in {folder}, for DuckDB 2.0 or newer.",
        "-- A query sees exactly one commit, in all its tables: the newest when it begins. Nothing is to be made anew after one.",
    ]
    if folder.startswith("s3://"):
        lines.append(
            "-- In each session: INSTALL httpfs; LOAD httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);"
        )
    lines.append(f"CREATE SCHEMA IF NOT EXISTS {quote(star.schema_name)};")
    return "\n\n".join(["\n".join(lines), *(view_of(star, table, folder) for table in star.tables)]) + "\n"


def view_of(star: Star, table: Table, folder: str) -> str:
    """The statement that makes a table's view: the declared columns, in their order and of their types.

    Three lists are compared, which DuckDB reads one after the other: the manifests, when the query is bound; the table's
    files, bound next; and the manifests again, when the query begins to run, as only the first of several patterns is
    looked at before. If the newest manifest is the same both times, then all its files were there in between.
    """
    manifests = literal(f"{folder}/{MANIFESTS}/*.json")
    key = f"$.tables.{quote(table.name)}[*].key"
    listed = ",\n".join(_column(column.name, duckdb_type(column)) for column in table.columns)
    return f"""CREATE OR REPLACE VIEW {qualified(star.schema_name, table)} AS
SELECT files.* EXCLUDE ({FILE})
FROM (
  SELECT unnest(CAST(json_extract_string(content, {literal(key)}) AS VARCHAR[])) AS key
  FROM (
    SELECT CASE WHEN newest.filename IS NOT NULL THEN coalesce(content, error({literal(CHANGED)})) END AS content
    FROM (SELECT max(filename) AS filename FROM read_text([{manifests}, {manifests}], allow_empty = true)) AS newest
    LEFT JOIN read_text({manifests}, allow_empty = true) AS listed ON listed.filename = newest.filename
  )
) AS manifest
INNER JOIN (
  SELECT
{listed},
{_column(FILE, "VARCHAR")}
  FROM read_parquet(
    {literal(f"{folder}/{table.name}/**/*.parquet")},
    {_options(table)}
  )
) AS files ON files.{FILE} = {literal(f"{folder}/")} || manifest.key;"""


def _column(name: str, kind: str) -> str:
    """A column of the files. Where there are none, DuckDB gives one column `empty` alone; one that a file lacks is refused."""
    return f"    CAST(COLUMNS('^({name}|{EMPTY})$') AS {kind}) AS {quote(name)}"


def _options(table: Table) -> str:
    options = [f"filename = '{FILE}'", "allow_empty = true"]
    folders = folders_of(table)
    if folders:
        types = ", ".join(f"{literal(column.name)}: {duckdb_type(column)}" for column in folders)
        options += ["hive_partitioning = true", f"hive_types = {{{types}}}"]
    else:
        options.append("hive_partitioning = false")
    return ", ".join(options)


def make_views(path: Path, script: str) -> None:
    """Make views, all or none, in a DuckDB file, which is made if there is none. Raises PipelineError."""
    import duckdb

    try:
        with duckdb.connect(str(path)) as con:
            con.begin()
            con.execute(script)
            con.commit()
    except duckdb.CatalogException as error:
        raise PipelineError(
            f"{path} has tables of its own by these names, as a warehouse has: name another file ({first_line(error)})"
        ) from error
    except duckdb.Error as error:
        raise PipelineError(f"cannot make the views in {path}: {first_line(error)}") from error
