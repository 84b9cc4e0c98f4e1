"""Objects that Redshift reads itself: COPY of a group's manifest into texts, a look at them, and the rows that are in no doubt.
Which objects are a group, and what becomes of one in doubt, is decided in the engine; how texts are typed in `rstexts`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.reserved_names import internal
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.object_reader import CopyRequest, CopyResult, ObjectReader, ServerCopyError
from scx_pipeline.warehouse.redshift import text_columns
from scx_pipeline.warehouse.redshift.copy_command import Entry, copy_sql, quoted
from scx_pipeline.warehouse.redshift.copy_proof import account_of, refused_file
from scx_pipeline.warehouse.redshift.text_columns import DOUBTFUL, text_type
from scx_pipeline.warehouse.sql_text import in_scope, names, quote
from scx_pipeline.warehouse.staging_buffer import OBJECT

if TYPE_CHECKING:
    from scx_pipeline.warehouse.redshift.redshift_warehouse import RedshiftSession

MAX_ERRORS = 100_000  # that COPY lets pass at most
OUTER = internal("outer %d")  # what a nested JSON field is in
_COMPRESSED = {"": [], ".gz": ["GZIP"], ".zst": ["ZSTD"]}


class RedshiftObjectReader(ObjectReader):
    """Reads groups into a temporary table of texts, and from there, typed, into one that a landing's rows come together in."""

    def __init__(self, session: RedshiftSession, table: Table, scope: LoadScope, least_bytes: int) -> None:
        self.session, self.table, self.least_bytes = session, table, least_bytes
        self.in_scope = in_scope(table, scope)
        self.texts, self.target = quote(f"_texts_{table.name}"), quote(f"_landed_{table.name}")
        self.landed = False  # whether the target stands
        self._values = ""  # the SELECT of what was read last

    def reads(self, kind: str) -> bool:
        warehouse = self.session.warehouse
        # COPY takes no REGION with Parquet.
        if warehouse.access.region and (kind == "parquet" or "region_staging" not in warehouse.options):
            return False
        # Numbers of more digits than a double holds may have been rounded before they became a text.
        wide = any(column.type.startswith("decimal") for column in self.table.columns)
        return kind in ("csv", "parquet") or (kind == "json_lines" and not wide)

    def read(self, group: CopyRequest) -> CopyResult:
        with self._in_place_of_the_parser():
            self._make_texts(group)
            refused = self._put_refused(group)
            statement = self._copy(group, refused)
            self.session.con.notices.clear()
            self.session.execute(statement)
            self._values = self._typed(group)
            return self._look(group, refused.url if refused else None)

    def keep(self, number: int) -> None:
        with self._in_place_of_the_parser():
            if not self.landed:
                columns = [*self.table.columns, OBJECT]
                self.session.execute(self.session.create_table_sql(self.target, columns, "TEMPORARY "))
                self.landed = True
            listed = names(self.table.column_names)
            self.session.execute(
                f"INSERT INTO {self.target} ({listed}, {quote(OBJECT.name)})"
                f" SELECT {listed}, {number} FROM ({self._values}) AS q"
            )

    @contextmanager
    def _in_place_of_the_parser(self) -> Iterator[None]:
        """Raise ServerCopyError for what the cluster cannot do with the objects, or tell of them: the parser can."""
        import psycopg2

        try:
            yield
        except psycopg2.DatabaseError as error:
            if isinstance(error, psycopg2.OperationalError) or self.session.warehouse.is_ours(error):
                raise
            raise ServerCopyError(
                f"COPY of {self.table.name}'s objects failed: {first_line(error)}"
            ) from error

    def discard(self, number: int) -> None:
        self.session.execute(f"DELETE FROM {self.target} WHERE {quote(OBJECT.name)} = {number}")

    def _make_texts(self, group: CopyRequest) -> None:
        """An empty table with a column for each of the files'."""
        self.session.execute(f"DROP TABLE IF EXISTS {self.texts}")
        columns = [f"{name} {self._type(column, group.format)}" for name, column in self._columns(group)]
        self.session.execute(f"CREATE TEMPORARY TABLE {self.texts} ({', '.join(columns)})")

    def _columns(self, group: CopyRequest) -> list[tuple[str, Column | None]]:
        """The names of the columns that COPY fills, in the files' order."""
        found = [
            (quote(column.name) if column else internal(f"undeclared {number}"), column)
            for number, column in enumerate(group.columns)
        ]
        outer = self._outer() if group.format == "json_lines" else []
        return found + [(OUTER % number, None) for number in range(len(outer))]

    def _outer(self) -> list[tuple[str, ...]]:
        """The ways to the objects that nested fields are in."""
        ways = (
            column.field_path[:depth]
            for column in self.table.columns
            for depth in range(1, len(column.field_path))
        )
        return list(dict.fromkeys(ways))

    def _type(self, column: Column | None, kind: str) -> str:
        if kind != "parquet":
            return text_type(column)
        assert column is not None
        return "VARCHAR(65535)" if column.max_bytes is not None else self.session.engine_type(column)

    def _put_refused(self, group: CopyRequest) -> Entry | None:
        """Write the file with a record that COPY must refuse; of Parquet, COPY refuses none, but fails."""
        if group.format == "parquet":
            return None
        content = refused_file(group, len(self._columns(group)))
        return self.session.region_place.put(f"refused{group.suffix}", content)

    def _copy(self, group: CopyRequest, refused: Entry | None) -> str:
        entries = [Entry(url, size) for url, size in group.objects] + ([refused] if refused else [])
        manifest = self.session.region_place.manifest(entries)
        columns = ", ".join(name for name, _ in self._columns(group))
        return copy_sql(
            f"{self.texts} ({columns})",
            manifest,
            self.session.warehouse.access,
            self._options(group),
        )

    def _options(self, group: CopyRequest) -> list[str]:
        access = self.session.warehouse.access
        if group.format == "parquet":
            return ["FORMAT AS PARQUET"]
        region = [f"REGION {quoted(access.region)}"] if access.region else []
        rest = [
            *_COMPRESSED[group.suffix],
            *region,
            f"MAXERROR {MAX_ERRORS}",
            "COMPUPDATE OFF",
            "STATUPDATE OFF",
        ]
        if group.format == "csv":
            # A text that no file can have, or else \N would stand for no value.
            return ["FORMAT AS CSV", "IGNOREHEADER 1", "EMPTYASNULL", f"NULL AS '{uuid.uuid4().hex}'", *rest]
        empty = ["EMPTYASNULL"] if "" in group.null_values else []
        return [f"FORMAT AS JSON {quoted(self._put_paths(group))}", *empty, *rest]

    def _put_paths(self, group: CopyRequest) -> str:
        """Write down which field each column takes; the URL of it."""
        ways = [column.field_path for column in group.columns if column is not None] + self._outer()
        paths = ["$" + "".join(f"['{name}']" for name in way) for way in ways]
        content = json.dumps({"jsonpaths": paths}, indent=0, ensure_ascii=False).encode()
        return self.session.region_place.put("jsonpaths.json", content).url

    def _typed(self, group: CopyRequest) -> str:
        """The SELECT of the table's columns, and of whether a row is in doubt."""
        columns = self.table.columns
        if group.format == "parquet":
            return text_columns.typed_values(columns, self.texts)
        if group.format == "csv":
            return text_columns.typed_texts(columns, self.texts, group.null_values)
        outer = [OUTER % number for number in range(len(self._outer()))]
        return text_columns.typed_fields(columns, self.texts, group.null_values, outer)

    def _look(self, group: CopyRequest, refused: str | None) -> CopyResult:
        time = (
            quote(self.table.event_time_column) if not self.table.unpartitioned else "CAST(NULL AS TIMESTAMP)"
        )
        time = f"CASE WHEN NOT {DOUBTFUL} THEN {time} END"  # which may be in no calendar otherwise
        [(rows, doubtful, within, first, last)] = self.session.rows(
            f"SELECT COUNT(*), SUM(CASE WHEN {DOUBTFUL} THEN 1 ELSE 0 END), SUM(CASE WHEN {self.in_scope} THEN 1 ELSE 0 END),"
            f" MIN({time}), MAX({time}) FROM ({self._values}) AS q"
        )
        told = account_of(self.session, group, rows, refused)
        doubt = told.doubt or (f"{doubtful:,} rows are in doubt" if doubtful else "")
        if doubt:
            return CopyResult(rows, 0, None, None, doubt)
        broken = self._breaks(group)
        return CopyResult(rows, within or 0, first, last, "", broken, told.lines, told.etags, told.header)

    def _breaks(self, group: CopyRequest) -> int:
        """How many line breaks are in texts of files where each makes another line."""
        if group.format != "csv":
            return 0
        texts = [name for name, _ in self._columns(group)]
        broken = f"FROM {self.texts} WHERE {text_columns.has_break(texts)}"
        [(rows,)] = self.session.rows(f"SELECT COUNT(*) {broken}")
        if not rows:
            return 0
        [(breaks,)] = self.session.rows(f"SELECT SUM({text_columns.breaks_in(texts)}) {broken}")
        return int(breaks)
