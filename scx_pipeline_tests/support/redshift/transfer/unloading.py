"""UNLOAD: the result of a PostgreSQL query becomes Parquet files in S3, several per folder, as slices write them.

Source: the guide's page r_UNLOAD, with its usage notes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import obstore
import sqlglot
from sqlglot import exp

from scx_pipeline_tests.support.redshift.sql.statements import translate
from scx_pipeline_tests.support.redshift.transfer.options import UnloadStatement
from scx_pipeline_tests.support.redshift.wire import Failure

if TYPE_CHECKING:
    import pyarrow as pa
    from obstore.store import S3Store

SLICES = 2
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# PostgreSQL's types by OID, with Arrow's names, and whether a partition key may have the type.
_TYPES = {
    16: ("bool", True), 20: ("int64", True), 21: ("int16", True), 23: ("int32", True), 25: ("string", True),
    700: ("float", True), 701: ("double", False), 1042: ("string", True), 1043: ("string", True), 1082: ("date32", True),
    1114: ("timestamp", True), 1184: ("timestamp", True), 1700: ("decimal", True),
}  # fmt: skip


@dataclass(frozen=True)
class _Written:
    """A written file."""

    url: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class Unloading:
    """One UNLOAD statement, with what it needs: a cursor of the session, and a store for each bucket."""

    statement: UnloadStatement
    cursor: Any
    store: Callable[[str], S3Store]

    def run(self) -> int:
        """Unload, and return the row count. Raises Failure."""
        rows = self._rows()
        self._check_columns(rows)
        bucket, _, prefix = self.statement.target.removeprefix("s3://").partition("/")
        if self.statement.partition_by and not prefix.endswith("/"):
            prefix += "/"
        store = self.store(bucket)
        files = list(self._files(rows))
        self._make_room(store, prefix, {name.rpartition("/")[0] for name, _ in files})
        written = [self._put(store, f"{prefix}{name}", content, bucket) for name, content in files]
        if self.statement.has("manifest"):
            obstore.put(store, f"{prefix}manifest", self._manifest(rows, written))
        return int(rows.num_rows)

    def _rows(self) -> pa.Table:
        translated = translate(self.statement.query, True)
        if translated.kind not in ("SELECT", "WITH", "("):
            raise Failure("42601", "UNLOAD takes a SELECT")
        tree = sqlglot.parse_one(self.statement.query, dialect="redshift")
        if isinstance(tree, exp.Query) and tree.args.get("limit"):
            raise Failure("0A000", "Limit clause is not supported")
        self.cursor.execute(translated.sql)
        return _as_arrow(self.cursor.description, self.cursor.fetchall())

    def _check_columns(self, rows: pa.Table) -> None:
        folders = self.statement.partition_by
        for name in folders:
            if name not in rows.column_names:
                raise Failure("42703", f'partition column "{name}" is not in the query')
            if str(rows.schema.field(name).type) == "double":
                raise Failure(
                    "0A000", f'partition column "{name}" is of a type that cannot be a partition key'
                )
        if len(set(rows.column_names)) < len(rows.column_names):
            raise Failure("42701", "a column is given twice")
        if folders and set(folders) == set(rows.column_names) and not self._includes:
            raise Failure("0A000", "at least one column must be no partition column")

    @property
    def _includes(self) -> bool:
        return self.statement.options.get("partition") == "include"

    def _make_room(self, store: S3Store, prefix: str, folders: set[str]) -> None:
        """Reject, overwrite or remove existing files, according to the options."""
        existing = [
            item["path"] for page in store.list(prefix=prefix.rpartition("/")[0] or None) for item in page
        ]
        existing = [key for key in existing if key.startswith(prefix)]
        if self.statement.has("cleanpath"):
            cleaned = [key for key in existing if key[len(prefix) :].rpartition("/")[0] in folders]
            for key in cleaned:
                store.delete(key)
        elif existing and not self.statement.has("allowoverwrite"):
            raise Failure(
                "XX000",
                "Specified unload destination on S3 is not empty. Consider using a different bucket / prefix, manually"
                " removing the target files in S3, or using the ALLOWOVERWRITE option.",
            )

    def _files(self, rows: pa.Table) -> Iterator[tuple[str, bytes]]:
        """Return the files by their names below the prefix."""
        kept = [
            name for name in rows.column_names if self._includes or name not in self.statement.partition_by
        ]
        slices = 1 if self.statement.options.get("parallel") in ("off", "false") else SLICES
        for folder, part in self._parts(rows):
            for number in range(slices):
                share = list(range(number, part.num_rows, slices))
                if share:
                    content = _packed(part.select(kept).take(share))
                    yield f"{folder}{number:04d}_part_00.parquet", content

    def _parts(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """Return the rows by folder path."""
        if not self.statement.partition_by:
            yield "", rows
            return
        columns = [rows.column(name).to_pylist() for name in self.statement.partition_by]
        places: dict[tuple[Any, ...], list[int]] = {}
        for number, values in enumerate(zip(*columns, strict=True)):
            places.setdefault(values, []).append(number)
        for values, numbers in places.items():
            named = zip(self.statement.partition_by, values, strict=True)
            path = "".join(f"{name}={NO_VALUE if value is None else value}/" for name, value in named)
            yield path, rows.take(numbers)

    @staticmethod
    def _put(store: S3Store, key: str, content: bytes, bucket: str) -> _Written:
        import pyarrow.parquet as pq

        try:
            obstore.put(store, key, content)
        except Exception as error:
            said = str(error).splitlines()[0]
            raise Failure(
                "XX000", f"S3ServiceException:{said},Status 403,Error AccessDenied,Key {key}"
            ) from None
        return _Written(f"s3://{bucket}/{key}", len(content), pq.read_metadata(BytesIO(content)).num_rows)

    def _manifest(self, rows: pa.Table, written: Sequence[_Written]) -> bytes:
        """Return the manifest; VERBOSE, with lengths, row counts and the columns."""
        if self.statement.options["manifest"] != "verbose":
            return json.dumps({"entries": [{"url": file.url} for file in written]}).encode()
        entries = [
            {"url": file.url, "meta": {"content_length": file.bytes, "record_count": file.rows}}
            for file in written
        ]
        total = {"content_length": sum(file.bytes for file in written), "record_count": rows.num_rows}
        elements = [{"name": field.name, "type": {"base": str(field.type)}} for field in rows.schema]
        author = {"name": "Amazon Redshift", "version": "1.0.0"}
        return json.dumps(
            {"entries": entries, "schema": {"elements": elements}, "meta": total, "author": author}
        ).encode()


def _as_arrow(description: Sequence[Any], rows: Sequence[Sequence[str | None]]) -> pa.Table:
    """Return PostgreSQL's texts as typed Arrow arrays."""
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ((),) * len(description)
    arrays = [_typed(item, list(texts)) for item, texts in zip(description, columns, strict=True)]
    return pa.Table.from_arrays(arrays, names=[item.name for item in description])


def _typed(column: Any, texts: list[str | None]) -> pa.Array:
    import pyarrow as pa

    if column.type_code not in _TYPES:
        raise Failure("0A000", f'column "{column.name}" is of a type that cannot be unloaded to PARQUET')
    kind = _TYPES[column.type_code][0]
    if kind == "bool":
        return pa.array([None if text is None else text == "t" for text in texts])
    plain = pa.array(texts, pa.string())
    if kind == "decimal":
        return plain.cast(pa.decimal128(column.precision or 38, column.scale or 0))
    return plain.cast(
        {"timestamp": pa.timestamp("us"), "date32": pa.date32()}.get(kind) or pa.type_for_alias(kind)
    )


def _packed(rows: pa.Table) -> bytes:
    """Return a file as UNLOAD writes it: version 1.0, row groups compressed by Snappy.

    The guide does not say how wide timestamps are. COPY and Spectrum read those of 96 bits correctly.
    """
    import pyarrow.parquet as pq

    sink = BytesIO()
    pq.write_table(rows, sink, version="1.0", compression="snappy", use_deprecated_int96_timestamps=True)
    return sink.getvalue()
