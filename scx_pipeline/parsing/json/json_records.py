"""Stage JSON records, and find the rejected ones, whatever files they come from.

The formats provide a relation of their records, and where each record is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.parsing.json.field_map import NOT_JSON, FieldMap
from scx_pipeline.parsing.json.field_sql import HAS_OTHER_FIELDS, NUMBER
from scx_pipeline.parsing.json.syntax_errors import describe_syntax_error
from scx_pipeline.parsing.parser import (
    UNKNOWN_REASON,
    Fetched,
    Parser,
    RowsOutOfRange,
    UndeclaredFields,
    unordered_inserts,
)
from scx_pipeline.parsing.records import RAW_LIMIT
from scx_pipeline.parsing.row_markers import UNCHECKED_FIELDS, marker_expression
from scx_pipeline.warehouse.sql_text import names

EXPLAINED_BYTES = 64 << 10  # a longer record that is not JSON is rejected without a more precise reason

Location = tuple[int | None, str]  # the line that a record begins on, and its raw text


class JsonRecordParser(Parser[Fetched]):
    """The parser of a relation of (number, json), where the number is that of a record's file."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.fields = FieldMap(self.source, self.table)

    def _insert(self, records: str) -> None:
        """Stage the records, each under its number, and note undeclared fields."""
        accepted = f"CASE WHEN {HAS_OTHER_FIELDS} THEN {NUMBER} + {UNCHECKED_FIELDS} ELSE {NUMBER} END"
        marker = marker_expression(self.fields.rules, NUMBER, accepted)
        columns = names(self.table.column_names)
        with unordered_inserts(self.con):
            self.staging_buffer.add(f"SELECT {columns}, {marker} FROM ({self.fields.select_typed(records)})")
        self._note_undeclared_fields(records)

    def _note_undeclared_fields(self, records: str) -> None:
        rows, is_unchecked = self.staging_buffer.rows, f"_object >= {UNCHECKED_FIELDS}"
        unchecked = f"SELECT DISTINCT _object - {UNCHECKED_FIELDS} FROM {rows} WHERE {is_unchecked}"
        if not self.con.execute(f"{unchecked} LIMIT 1").fetchall():
            return
        found: dict[int, list[str]] = defaultdict(list)
        objects = f"(SELECT * FROM {records} WHERE number IN ({unchecked}) AND json_type(json) = 'OBJECT')"
        for number, field in self.con.execute(self.fields.select_field_names(objects)).fetchall():
            found[number].append(field)
        for number, present in found.items():
            unknown = [name for name in present if name not in self.fields.declared_names]
            absent = [name for name in self.fields.declared_names if name not in present]
            if unknown or absent:
                self.undeclared_fields[number] = UndeclaredFields(tuple(unknown), tuple(absent))
        self.con.execute(f"UPDATE {rows} SET _object = _object - {UNCHECKED_FIELDS} WHERE {is_unchecked}")

    def _find_rejected_rows(
        self, number: int, file: Fetched, records: int, out_of_range: RowsOutOfRange | None
    ) -> list[RejectedRow]:
        rows = self.fields.select_typed(self._numbered_records(file))
        found = self._find_violations(
            rows, self.fields.rules, NUMBER, out_of_range, self.fields.written_texts
        )
        locations = self._locate(file, {item.place for item in found}, records)
        rejected = []
        for item in found:
            line, raw = locations.get(item.place, (None, ""))
            is_explained = item.rule == NOT_JSON and len(raw) < EXPLAINED_BYTES
            reason = (describe_syntax_error(raw) if is_explained else None) or item.reason
            rejected.append(
                RejectedRow(file.object.key, line, item.column, reason or UNKNOWN_REASON, raw[:RAW_LIMIT])
            )
        return rejected

    @abstractmethod
    def _numbered_records(self, file: Fetched) -> str:
        """Return the relation of one file's records, numbered from 1."""

    @abstractmethod
    def _locate(self, file: Fetched, wanted: Collection[int], records: int) -> dict[int, Location]:
        """Return where records of a file are, by number; none if the file does not split into that many records."""
