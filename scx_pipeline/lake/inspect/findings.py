"""What is not in a lake as its manifest and the star say: files, folders, columns and rows compared, as pure functions.
What is compared is read in `verify`; keys and references are looked at in `keys`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.lake.format.layout import (
    all_in,
    file_columns,
    folders_of,
    month_of_key,
    months_in,
    run_of,
    shape_of,
)
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.redshift.copy_command import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be: where, what, and what to do."""

    table: str  # or the folder of what belongs to one
    month: str  # or several; nothing of a table that is not kept by month
    file: str  # its key within the star's folder; nothing where it is none alone
    what: str
    advice: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def anew(month: Month | str | None) -> str:
    """The advice to write a month anew, or all of the star."""
    return "write it anew: scx lake build, or unload" + (f", --month {month}" if month else "")


def tables_in(compiled: CompiledStar) -> dict[str, Table]:
    """What each folder of the star's tables holds; also the months' newest rows of tables kept by key."""
    return {
        folder: held for table in compiled.star.tables for folder, held in all_in(compiled, table).items()
    }


def of_file(folder: str, item: DataFile, what: str, advice: str = "") -> Finding:
    """A finding on a file that the manifest lists."""
    return Finding(folder, str(item.month or ""), item.key, what, advice or anew(item.month))


def reshaped(manifest: Manifest, tables: Mapping[str, Table]) -> Iterator[Finding]:
    """Tables that were written when the star declared other columns or folders: their files are compared with nothing."""
    for folder, table in tables.items():
        shape = manifest.shapes.get(folder)
        if manifest.of(folder) and shape is not None and shape != shape_of(table):
            differing = {name for name, *_ in set(shape) ^ set(shape_of(table))}
            named = ", ".join(sorted(differing)) or "their order"
            yield Finding(
                folder, "", "", f"the star declares other columns or folders now: {named}", anew(None)
            )


# Files and folders


def absent(manifest: Manifest, sizes: Mapping[str, int]) -> Iterator[Finding]:
    """Files that are listed and not there, or have another size there."""
    for folder, items in manifest.files.items():
        for item in items:
            size = sizes.get(item.key)
            if size is None:
                yield of_file(folder, item, "the file is missing")
            elif size != item.bytes:
                yield of_file(folder, item, f"the file has {size:,} bytes, by the manifest {item.bytes:,}")


def strays(manifest: Manifest, keys: Collection[str], folders: Collection[str]) -> Iterator[Finding]:
    """Parquet files in the tables' folders that no manifest lists; those of the run that has the turn may be about to be."""
    standing = manifest.keys
    for folder in sorted({*folders, *manifest.files}):
        for key in sorted(key for key in keys if key.startswith(f"{folder}/") and key.endswith(".parquet")):
            run = run_of(key)
            if key in standing or (run and run == manifest.writer):
                continue
            month = month_of_key(key.removeprefix(f"{folder}/"))
            advice = "the next run removes it" if run else "move it elsewhere"
            what = "the file is not listed, and whoever reads the folder reads it as well"
            yield Finding(folder, str(month or ""), key, what, advice)


def misplaced(folder: str, table: Table, files: Sequence[DataFile]) -> Iterator[Finding]:
    """Files in a folder of another month than theirs, or in folders of other columns than are declared."""
    expected = [column.name for column in folders_of(table)]
    for item in files:
        within = item.key.removeprefix(f"{folder}/")
        named = [part.partition("=")[0] for part in within.split("/")[:-1]]
        if named != expected:
            wanted = f"folders of {', '.join(expected)}" if expected else "no folder"
            yield of_file(folder, item, f"the file should be in {wanted} below {folder}/")
        elif table.partitioned and month_of_key(within) != item.month:
            yield of_file(folder, item, f"the file is of {item.month}, and in the folder of another month")


# Rows


def miscounted(star: Star, manifest: Manifest) -> Iterator[Finding]:
    """Months whose files have other rows than the manifest says, and files of months that do not stand."""
    for table in star.monthly:
        folder = months_in(table)
        found: dict[Month | None, int] = defaultdict(int)
        for item in manifest.of(folder):
            found[item.month] += item.rows
        for month in sorted({*manifest.months, *filter(None, found)}):
            yield from _miscount(folder, month, found[month], _rows(manifest.months.get(month), table))
    for table in star.unpartitioned:
        rows = sum(item.rows for item in manifest.of(table.name))
        yield from _miscount(table.name, None, rows, _rows(manifest.unpartitioned, table))


def _rows(made: PartitionState | None, table: Table) -> int | None:
    return made.rows.get(table.name, 0) if made else None


def _miscount(folder: str, month: Month | None, found: int, wanted: int | None) -> Iterator[Finding]:
    if wanted is None and found:
        what = f"{found:,} rows are in files, and by the manifest it was never made"
        yield Finding(folder, str(month or ""), "", what, anew(month))
    elif wanted is not None and found != wanted:
        what = f"the files have {found:,} rows, by the manifest {wanted:,}"
        yield Finding(folder, str(month or ""), "", what, anew(month))


# Footers


def misread(folder: str, table: Table | None, item: DataFile, footer: FileMetaData) -> Iterator[Finding]:
    """What a file's footer says otherwise: rows, columns, and moments outside the month. `table` is what it should hold."""
    if footer.num_rows != item.rows:
        yield of_file(folder, item, f"the file has {footer.num_rows:,} rows, by the manifest {item.rows:,}")
    if table is None:
        return
    what = _columns(table, footer.schema.to_arrow_schema())
    if what:
        yield of_file(folder, item, what)
    elif table.partitioned and item.month:
        yield from _outside(folder, table, item, footer)


def _columns(table: Table, schema: pa.Schema) -> str:
    """How a file's columns differ from the declared ones; nothing where they do not."""
    declared = {column.name: arrow_type(column) for column in file_columns(table)}
    found = dict(zip(schema.names, schema.types, strict=True))
    missing = [name for name in declared if name not in found]
    others = [name for name in found if name not in declared]
    if missing or others:
        return "; ".join(
            f"{what} {', '.join(names)}"
            for what, names in (("it lacks the columns", missing), ("it has also", others))
            if names
        )
    if schema.names != list(declared):
        return f"its columns are in another order: {', '.join(schema.names)}"
    differing = [
        f"{name} is {found[name]}, not {kind}"
        for name, kind in declared.items()
        if not _alike(found[name], kind)
    ]
    return ", ".join(differing)


def _alike(found: pa.DataType, declared: pa.DataType) -> bool:
    """Whether a type is the declared one. Moments are in UTC whatever a file says; those of 96 bits, Arrow takes for nanoseconds."""
    import pyarrow as pa

    moments = (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("ns"))
    return found == declared or (found in moments and declared == moments[0])


def _outside(folder: str, table: Table, item: DataFile, footer: FileMetaData) -> Iterator[Finding]:
    assert item.month is not None
    index = footer.schema.names.index(table.event_time_column)
    groups = [footer.row_group(number).column(index).statistics for number in range(footer.num_row_groups)]
    ends = [end for group in groups if group and group.has_min_max for end in (group.min, group.max)]
    moments = [end.replace(tzinfo=None) for end in ends]
    if moments and not item.month.start <= min(moments) <= max(moments) < item.month.end:
        what = f"{table.event_time_column} goes from {min(moments)} to {max(moments)}, outside {item.month}"
        yield of_file(folder, item, what)
