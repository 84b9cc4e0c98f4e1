"""Differences between a lake, its manifest and the star's declaration: files, folders, columns and rows, compared by pure functions.

Reading what is compared does not belong here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.lake.format.layout import (
    file_columns,
    folder_tables,
    lake_schema,
    month_folder,
    month_of_key,
    partition_columns,
    run_of_key,
)
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.parquet_files import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData


@dataclass(frozen=True)
class Finding:
    """A problem in a lake: where it is, what is wrong, and what to do."""

    table: str  # or a folder with more of its rows
    month: str  # or several; empty if the table is not partitioned by month
    file: str  # key within the star's folder; empty if not exactly one file is affected
    problem: str
    advice: str


def rebuild_advice(month: Month | str | None) -> str:
    """Return the advice to rebuild a month, or the whole star."""
    return "rebuild it: scx lake build, or unload" + (f", --month {month}" if month else "")


def tables_by_folder(compiled: CompiledStar) -> dict[str, Table]:
    """Return the table stored in each folder of a star, including the latest rows by month of SCD type 1 tables."""
    return {
        folder: stored
        for table in compiled.star.tables
        for folder, stored in folder_tables(compiled, table).items()
    }


def file_finding(folder: str, item: DataFile, problem: str, advice: str = "") -> Finding:
    """Return a finding on a file that the manifest lists."""
    return Finding(folder, str(item.month or ""), item.key, problem, advice or rebuild_advice(item.month))


def find_changed_schemas(manifest: Manifest, tables: Mapping[str, Table]) -> Iterator[Finding]:
    """Find tables that were written when the star declared other columns or folders; their files are not checked further."""
    for folder, table in tables.items():
        shape = manifest.schemas.get(folder)
        if manifest.select_files(folder) and shape is not None and shape != lake_schema(table):
            differing = {name for name, *_ in set(shape) ^ set(lake_schema(table))}
            named = ", ".join(sorted(differing)) or "their order"
            problem = f"the star now declares other columns or folders: {named}"
            yield Finding(folder, "", "", problem, rebuild_advice(None))


# Files and folders


def find_missing_files(manifest: Manifest, sizes: Mapping[str, int]) -> Iterator[Finding]:
    """Find listed files that are missing or have another size."""
    for folder, items in manifest.files.items():
        for item in items:
            size = sizes.get(item.key)
            if size is None:
                yield file_finding(folder, item, "the file is missing")
            elif size != item.bytes:
                yield file_finding(
                    folder, item, f"the file has {size:,} bytes, not {item.bytes:,} as in the manifest"
                )


def find_orphan_files(
    manifest: Manifest, keys: Collection[str], folders: Collection[str]
) -> Iterator[Finding]:
    """Find unlisted Parquet files in the tables' folders; files of the run that holds the write lock are not orphans."""
    listed = manifest.file_keys
    for folder in sorted({*folders, *manifest.files}):
        for key in sorted(key for key in keys if key.startswith(f"{folder}/") and key.endswith(".parquet")):
            run = run_of_key(key)
            if key in listed or (run and run == manifest.writer):
                continue
            month = month_of_key(key.removeprefix(f"{folder}/"))
            advice = "the next run removes it" if run else "move it elsewhere"
            problem = "orphan file: not in the manifest, but read by engines that read the folder"
            yield Finding(folder, str(month or ""), key, problem, advice)


def find_files_in_wrong_folders(folder: str, table: Table, files: Sequence[DataFile]) -> Iterator[Finding]:
    """Find files in the folder of another month, or in folders of other columns than declared."""
    expected = [column.name for column in partition_columns(table)]
    for item in files:
        within = item.key.removeprefix(f"{folder}/")
        named = [part.partition("=")[0] for part in within.split("/")[:-1]]
        if named != expected:
            where = f"in folders of {', '.join(expected)} below" if expected else "directly in"
            yield file_finding(folder, item, f"the file should be {where} {folder}/")
        elif table.is_partitioned and month_of_key(within) != item.month:
            problem = f"the file belongs to {item.month} but is in the folder of another month"
            yield file_finding(folder, item, problem)


# Rows


def find_wrong_row_counts(star: Star, manifest: Manifest) -> Iterator[Finding]:
    """Find months whose files have other row counts than the manifest says, and files of unpublished months."""
    for table in star.monthly_tables:
        folder = month_folder(table)
        found: dict[Month | None, int] = defaultdict(int)
        for item in manifest.select_files(folder):
            found[item.month] += item.rows
        for month in sorted({*manifest.months, *filter(None, found)}):
            yield from _miscount(folder, month, found[month], _rows(manifest.months.get(month), table))
    for table in star.unpartitioned_tables:
        rows = sum(item.rows for item in manifest.select_files(table.name))
        yield from _miscount(table.name, None, rows, _rows(manifest.unpartitioned, table))


def _rows(state: PartitionState | None, table: Table) -> int | None:
    return state.rows.get(table.name, 0) if state else None


def _miscount(folder: str, month: Month | None, found: int, wanted: int | None) -> Iterator[Finding]:
    if found != (wanted or 0):
        says = "does not list the month as built" if wanted is None else f"says {wanted:,}"
        problem = f"the files have {count_of(found, 'row')}, but the manifest {says}"
        yield Finding(folder, str(month or ""), "", problem, rebuild_advice(month))


# Footers


def check_footer(folder: str, table: Table | None, item: DataFile, footer: FileMetaData) -> Iterator[Finding]:
    """Find differences of a file's footer: rows, columns, and event times outside the month. `table` is the expected table."""
    if footer.num_rows != item.rows:
        problem = f"the file has {count_of(footer.num_rows, 'row')}, not {item.rows:,} as in the manifest"
        yield file_finding(folder, item, problem)
    if table is None:
        return
    difference = _compare_columns(table, footer.schema.to_arrow_schema())
    if difference:
        yield file_finding(folder, item, difference)
    elif table.is_partitioned and item.month:
        yield from _find_rows_out_of_range(folder, table, item, footer)


def _compare_columns(table: Table, schema: pa.Schema) -> str:
    """Return how a file's columns differ from the declared ones; empty if they do not."""
    declared = {column.name: arrow_type(column) for column in file_columns(table)}
    found = dict(zip(schema.names, schema.types, strict=True))
    missing = [name for name in declared if name not in found]
    undeclared = [name for name in found if name not in declared]
    if missing or undeclared:
        lists = (("missing columns:", missing), ("undeclared columns:", undeclared))
        return "; ".join(f"{label} {', '.join(names)}" for label, names in lists if names)
    if schema.names != list(declared):
        return f"the columns are in another order: {', '.join(schema.names)}"
    differing = [
        f"{name} is {found[name]}, not {kind}"
        for name, kind in declared.items()
        if not _is_declared_type(found[name], kind)
    ]
    return ", ".join(differing)


def _is_declared_type(found: pa.DataType, declared: pa.DataType) -> bool:
    """Whether a type is the declared one. Timestamps are always UTC; Arrow reads timestamps of 96 bits as nanoseconds."""
    import pyarrow as pa

    timestamps = (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"))
    return found == declared or (found in timestamps and declared == timestamps[0])


def _find_rows_out_of_range(
    folder: str, table: Table, item: DataFile, footer: FileMetaData
) -> Iterator[Finding]:
    assert item.month is not None
    index = footer.schema.names.index(table.event_time_column)
    groups = [footer.row_group(number).column(index).statistics for number in range(footer.num_row_groups)]
    ends = [end for group in groups if group and group.has_min_max for end in (group.min, group.max)]
    times = [end.replace(tzinfo=None) for end in ends]
    if times and not item.month.start <= min(times) <= max(times) < item.month.end:
        problem = f"{table.event_time_column} ranges from {min(times)} to {max(times)}, outside {item.month}"
        yield file_finding(folder, item, problem)
