"""The rules for the fields that the columns of a staging table read, by the format of their source.

Reading files does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator

from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table


def check_fields(table: Table, source: Source) -> Iterator[str]:
    """Every column reads a field that the source's format can provide, and no other column reads it."""
    if source.format == "csv":
        yield from _check_header_names(table)
        return
    for column in table.columns:
        if not all(column.field_path) or set(column.field_name) & set('"\\*'):
            yield (
                f"{column.name}: {column.field!r} is not a field path: write the field's name, or outer.inner for a nested field, "
                'without ", \\ or *'
            )
        if column.date_format or column.timestamp_format:
            yield f"{column.name} has a date_format or timestamp_format, which only csv sources have"
        if source.format == "parquet" and len(column.field_path) > 1:
            yield (
                f"{column.name} reads inside {column.field}, but nested fields of a parquet source cannot be read"
            )
    yield from check_field_paths(table)


def _check_header_names(table: Table) -> Iterator[str]:
    readers: dict[str, str] = {}
    for column in table.columns:
        if column.field_name in readers:
            yield f"{readers[column.field_name]} and {column.name} read the same field"
        readers[column.field_name] = column.name


def check_field_paths(table: Table) -> Iterator[str]:
    """Columns of a staging table read different fields, and none reads inside another; letter case is ignored."""
    readers: dict[str, str] = {}
    objects: dict[str, str] = {}
    for column in table.columns:
        path = ".".join(column.field_path).lower()
        if path in readers:
            yield f"{readers[path]} and {column.name} read the same field (letter case is ignored)"
        readers[path] = column.name
        for parent in _parents(column):
            known = objects.setdefault(parent.lower(), parent)
            if known != parent:
                yield f"{column.name} reads inside {parent}, and another column inside {known}: use one spelling"
    for column in table.columns:
        for parent in _parents(column):
            if parent.lower() in readers:
                yield f"{readers[parent.lower()]} reads the field {parent} as a value, and {column.name} reads inside it"


def _parents(column: Column) -> list[str]:
    """The paths of the objects that enclose the column's field, from the outermost."""
    path = column.field_path
    return [".".join(path[:depth]) for depth in range(1, len(path))]
