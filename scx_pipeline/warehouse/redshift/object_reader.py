"""Objects that Redshift reads itself: COPY into a table of texts, which are then typed and examined.

Which objects are read together, and what follows if they need client parsing, is decided by the load.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.model.calendar import LoadScope
from scx_pipeline.model.column import Column
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.dialect import DEFAULT_DIALECT
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.object_reader import CopyRequest, CopyResult, ObjectReader, ServerCopyError
from scx_pipeline.warehouse.redshift import text_columns
from scx_pipeline.warehouse.redshift.copy_command import Entry, copy_sql, redshift_literal
from scx_pipeline.warehouse.redshift.copy_verification import create_canary_file, verify_copy
from scx_pipeline.warehouse.redshift.redshift_errors import is_cluster_error
from scx_pipeline.warehouse.redshift.redshift_session import RedshiftSession
from scx_pipeline.warehouse.redshift.text_columns import NEEDS_CLIENT_PARSING, text_type
from scx_pipeline.warehouse.sql_text import names, quote, scope_condition
from scx_pipeline.warehouse.staging_buffer import OBJECT

MAX_ERRORS = 100_000  # the most that COPY can skip
OUTER = internal_column("outer %d")  # an object that nested JSON fields are in
_COMPRESSION_OPTIONS = {"": [], ".gz": ["GZIP"], ".zst": ["ZSTD"]}


class RedshiftObjectReader(ObjectReader):
    """Reads objects into a temporary table of texts, and stages them, typed, in another."""

    suffixes = frozenset(_COMPRESSION_OPTIONS)

    def __init__(self, session: RedshiftSession, table: Table, scope: LoadScope) -> None:
        self.session, self.table, self.settings = session, table, session.settings
        self.min_bytes = session.settings.min_copy_bytes
        self.in_scope = scope_condition(table, scope)
        self.texts, self.target = quote(f"_texts_{table.name}"), quote(f"_staged_{table.name}")
        self.has_rows = False  # whether the target exists
        self._values = ""  # the SELECT of what was read last

    def can_read(self, source: Source) -> bool:
        file_format, columns = source.format, self.table.columns
        # COPY converts no numbers and times of other forms, and has few encodings.
        if source.dialect != DEFAULT_DIALECT or any(
            column.date_format or column.timestamp_format for column in columns
        ):
            return False
        # COPY accepts no REGION for Parquet.
        if self.settings.access.region and (
            file_format == "parquet" or "region_staging" not in self.settings.options
        ):
            return False
        # Numbers with more digits than a double has may be rounded before they become a text.
        has_decimals = any(column.type.startswith("decimal") for column in columns)
        return file_format in ("csv", "parquet") or (file_format == "json_lines" and not has_decimals)

    def read(self, request: CopyRequest) -> CopyResult:
        with self._translate_copy_errors():
            self._create_text_table(request)
            canary = self._put_canary(request)
            statement = self._copy_sql(request, canary)
            self.session.con.notices.clear()
            self.session.execute(statement)
            self._values = self._typed_select(request)
            return self._examine(request, canary.url if canary else None)

    def stage(self, number: int) -> None:
        with self._translate_copy_errors():
            if not self.has_rows:
                columns = [*self.table.columns, OBJECT]
                self.session.execute(self.session.create_table_sql(self.target, columns, "TEMPORARY "))
                self.has_rows = True
            listed = names(self.table.column_names)
            self.session.execute(
                f"INSERT INTO {self.target} ({listed}, {quote(OBJECT.name)})"
                f" SELECT {listed}, {number} FROM ({self._values}) AS q"
            )

    def discard(self, number: int) -> None:
        self.session.execute(f"DELETE FROM {self.target} WHERE {quote(OBJECT.name)} = {number}")

    @contextmanager
    def _translate_copy_errors(self) -> Iterator[None]:
        """Raise ServerCopyError for errors about the objects, as the parser may read them."""
        import psycopg2

        try:
            yield
        except psycopg2.DatabaseError as error:
            if isinstance(error, psycopg2.OperationalError) or is_cluster_error(error):
                raise
            raise ServerCopyError(
                f"COPY of {self.table.name}'s objects failed: {first_line(error)}"
            ) from error

    def _create_text_table(self, request: CopyRequest) -> None:
        """Create an empty table with a column for each of the files'."""
        self.session.execute(f"DROP TABLE IF EXISTS {self.texts}")
        columns = [f"{name} {self._type(column, request.format)}" for name, column in self._columns(request)]
        self.session.execute(f"CREATE TEMPORARY TABLE {self.texts} ({', '.join(columns)})")

    def _columns(self, request: CopyRequest) -> list[tuple[str, Column | None]]:
        """Return the columns that COPY fills, in the files' order, with their names."""
        found = [
            (quote(column.name) if column else internal_column(f"undeclared {number}"), column)
            for number, column in enumerate(request.columns)
        ]
        outer = self._outer_paths() if request.format == "json_lines" else []
        return found + [(OUTER % number, None) for number in range(len(outer))]

    def _outer_paths(self) -> list[tuple[str, ...]]:
        """Return the paths of the objects that nested fields are in."""
        paths = (
            column.field_path[:depth]
            for column in self.table.columns
            for depth in range(1, len(column.field_path))
        )
        return list(dict.fromkeys(paths))

    def _type(self, column: Column | None, file_format: str) -> str:
        if file_format != "parquet":
            return text_type(column)
        assert column is not None
        return "VARCHAR(65535)" if column.max_bytes is not None else self.session.engine_type(column)

    def _put_canary(self, request: CopyRequest) -> Entry | None:
        """Upload the canary file; None for Parquet, of which COPY rejects no records, but fails."""
        if request.format == "parquet":
            return None
        content = create_canary_file(request, len(self._columns(request)))
        return self.session.region_staging_prefix.put(f"canary{request.suffix}", content)

    def _copy_sql(self, request: CopyRequest, canary: Entry | None) -> str:
        entries = [Entry(url, size) for url, size in request.objects] + ([canary] if canary else [])
        manifest = self.session.region_staging_prefix.manifest(entries)
        columns = ", ".join(name for name, _ in self._columns(request))
        return copy_sql(
            f"{self.texts} ({columns})", manifest, self.settings.access, self._copy_options(request)
        )

    def _copy_options(self, request: CopyRequest) -> list[str]:
        region = self.settings.access.region
        if request.format == "parquet":
            return ["FORMAT AS PARQUET"]
        rest = [
            *_COMPRESSION_OPTIONS[request.suffix],
            *([f"REGION {redshift_literal(region)}"] if region else []),
            f"MAXERROR {MAX_ERRORS}",
            "COMPUPDATE OFF",
            "STATUPDATE OFF",
        ]
        if request.format == "csv":
            # A text that is in no file, as otherwise COPY would read \N as NULL.
            return ["FORMAT AS CSV", "IGNOREHEADER 1", "EMPTYASNULL", f"NULL AS '{uuid.uuid4().hex}'", *rest]
        empty = ["EMPTYASNULL"] if "" in request.null_values else []
        return [f"FORMAT AS JSON {redshift_literal(self._put_json_paths(request))}", *empty, *rest]

    def _put_json_paths(self, request: CopyRequest) -> str:
        """Upload the field paths of the columns, and return the URL."""
        paths = [column.field_path for column in request.columns if column is not None] + self._outer_paths()
        expressions = ["$" + "".join(f"['{name}']" for name in path) for path in paths]
        content = json.dumps({"jsonpaths": expressions}, indent=0, ensure_ascii=False).encode()
        return self.session.region_staging_prefix.put("jsonpaths.json", content).url

    def _typed_select(self, request: CopyRequest) -> str:
        """Return the SELECT of the table's columns, and of whether a row needs client parsing."""
        columns = self.table.columns
        if request.format == "parquet":
            return text_columns.typed_values(columns, self.texts)
        if request.format == "csv":
            return text_columns.typed_texts(columns, self.texts, request.null_values)
        outer = [OUTER % number for number in range(len(self._outer_paths()))]
        return text_columns.typed_fields(columns, self.texts, request.null_values, outer)

    def _examine(self, request: CopyRequest, canary: str | None) -> CopyResult:
        time = (
            "CAST(NULL AS TIMESTAMP)" if self.table.is_unpartitioned else quote(self.table.event_time_column)
        )
        # Other event times may be outside the calendar.
        time = f"CASE WHEN NOT {NEEDS_CLIENT_PARSING} THEN {time} END"
        [(rows, unclear, in_scope, first, last)] = self.session.rows(
            f"SELECT COUNT(*), SUM(CASE WHEN {NEEDS_CLIENT_PARSING} THEN 1 ELSE 0 END),"
            f" SUM(CASE WHEN {self.in_scope} THEN 1 ELSE 0 END), MIN({time}), MAX({time}) FROM ({self._values}) AS q"
        )
        report = verify_copy(self.session, request, rows, canary)
        reason = report.client_parsing_reason or (
            f"client parsing is needed for {count_of(unclear, 'row')}" if unclear else ""
        )
        if reason:
            return CopyResult(rows, 0, None, None, reason)
        return CopyResult(
            rows,
            in_scope or 0,
            first,
            last,
            line_breaks=self._count_line_breaks(request),
            lines=report.lines,
            etags=report.etags,
            header_lines=report.header_lines,
        )

    def _count_line_breaks(self, request: CopyRequest) -> int:
        """Count the line breaks in texts, if each makes its record a line longer."""
        if request.format != "csv":
            return 0
        texts = [name for name, _ in self._columns(request)]
        rows = f"FROM {self.texts} WHERE {text_columns.has_line_break(texts)}"
        [(count,)] = self.session.rows(f"SELECT COUNT(*) {rows}")
        if not count:
            return 0
        [(line_breaks,)] = self.session.rows(f"SELECT SUM({text_columns.count_line_breaks(texts)}) {rows}")
        return int(line_breaks)
