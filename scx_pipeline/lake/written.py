"""What a run has written of a table, looked at before it may stand: its files, their rows and months, and their columns.
Who wrote them, and how they become the table, is in `unload`, `build` and `commit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.commit import Turn
from scx_pipeline.lake.layout import PART, month_of_key
from scx_pipeline.lake.manifest import DataFile
from scx_pipeline.spec import Column, Month

Counts = Mapping[Month | None, int]  # rows by month; None: of a table that is not kept by month


def look(turn: Turn, table: str, columns: Sequence[Column], counts: Counts) -> list[DataFile]:
    """The files that a run has written of a table, keys within the run's folder.

    Raises LakeError unless they have these columns, and exactly these rows, month by month.
    """
    place, folder = turn.place, f"{turn.folder}{table}/"
    sizes = {key: size for key, size in place.list(folder).items() if key.endswith(".parquet")}
    footers = place.each(place.footer, list(sizes))
    files = []
    for (key, size), footer in zip(sizes.items(), footers, strict=True):
        found = footer.schema.to_arrow_schema().names
        if found != [column.name for column in columns]:
            raise LakeError(f"{place.url}/{key} has the columns {', '.join(found)}; nothing was changed")
        if footer.num_rows:
            month = _month(key.removeprefix(folder)) if None not in counts else None
            files.append(DataFile(key.removeprefix(turn.folder), footer.num_rows, size, month))
    _check_rows(table, files, counts)
    return files


def _month(key: str) -> Month | None:
    return month_of_key("/".join(folder for folder in key.split("/") if not folder.startswith(PART)))


def _check_rows(table: str, files: Sequence[DataFile], counts: Counts) -> None:
    written: dict[Month | None, int] = {}
    for item in files:
        written[item.month] = written.get(item.month, 0) + item.rows
    for month in sorted({*written, *counts}, key=str):
        if written.get(month, 0) != counts.get(month, 0):
            what = f"{month} of {table}" if month else table
            raise LakeError(
                f"{what} has {counts.get(month, 0):,} rows, but {written.get(month, 0):,} were written; nothing was changed"
            )
