"""Design a star from profiled samples: event time, key, dimensions of the columns that depend on an id, and the fact.

Writing files does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from scx_pipeline.errors import DeclarationError
from scx_pipeline.inference.guess import Choices, Guess
from scx_pipeline.inference.samples import Samples
from scx_pipeline.model.column import Column
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.parsing.csv.dialect_texts import DialectTexts
from scx_pipeline.warehouse.sql_text import names as listed_names
from scx_pipeline.warehouse.sql_text import quote

_EVENT_NAMES = (
    "event_time",
    "created",
    "started",
    "start",
    "pickup",
    "occurred",
    "timestamp",
    "datetime",
    "time",
    "ts",
    "booked",
    "buchung",
    "date",
    "datum",
    "day",
)
_CHANGE_NAMES = ("updated", "modified", "changed")
_ID = re.compile(r"^(.+?)_(id|no|nr|code|key|number|sk)$")
_POSITION = re.compile(r"(^|_)(item|line|row|seq|sequence|index|position)(_|$)")
MAX_KEY_COLUMNS, MAX_POOL = 3, 8
MAX_VALUES, ROWS_PER_VALUE = 12, 10  # of a column whose values are listed
DISTINCT = "distinct_samples"


@dataclass(frozen=True)
class Dimension:
    """A dimension: its name, its key, and the columns that depend on the key."""

    name: str
    key: str
    attributes: tuple[str, ...]


@dataclass
class StarDesign:
    """The parts of a star, over the columns of one staging table."""

    columns: Sequence[Column]
    event_time: str | None = None
    key: tuple[str, ...] = ()
    sequence_by: tuple[str, ...] = ()
    dimensions: list[Dimension] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)

    @property
    def fact_columns(self) -> list[Column]:
        """The columns of the fact: those that are in no dimension, and the keys of the dimensions."""
        described = {name for dimension in self.dimensions for name in dimension.attributes}
        return [column for column in self.columns if column.name not in described]


class StarDesigner:
    """Designs the star of samples whose columns are known."""

    def __init__(
        self, samples: Samples, columns: Sequence[Column], table_name: str, choices: Choices
    ) -> None:
        self.samples, self.table_name, self.choices = samples, table_name, choices
        self.design = StarDesign(list(columns))
        # Parquet's dates cannot be read as timestamps.
        self.typed = {
            column.name for item, column in zip(samples.fields, columns, strict=True) if item.kind == "date"
        }

    def run(self, dialect: Dialect, null_values: Sequence[str]) -> StarDesign:
        """Return the design. Raises DeclarationError for a choice that is not possible."""
        items = zip(self.samples.fields, self.design.columns, strict=True)
        texts = ", ".join(f"{field.texts} AS {quote(column.name)}" for field, column in items)
        source = f"(SELECT {texts}, 0 AS n FROM {self.samples.table})"
        rows = DialectTexts(self.design.columns, dialect).select_typed(source, "n", null_values)
        listed = listed_names([column.name for column in self.design.columns])
        # Different texts may be the same value, such as 1 and +1. Rows that are equal in all values count once.
        self.samples.con.execute(
            f"CREATE OR REPLACE TABLE {DISTINCT} AS SELECT DISTINCT {listed} FROM ({rows})"
        )
        self._choose_event_time()
        self._choose_key()
        self._choose_sequence()
        self._choose_dimensions()
        return self.design

    def _choose_event_time(self) -> None:
        times = [
            column
            for column in self.design.columns
            if column.type in ("timestamp", "date") and not column.nullable and column.name not in self.typed
        ]
        wanted = self._column_of(self.choices.event_time)
        if wanted and wanted not in [column.name for column in times]:
            raise DeclarationError(
                f"{wanted} cannot be the event time: choose a date or timestamp with a value in every row:"
                f" {', '.join(column.name for column in times) or 'there is none'}"
            )
        if not times or wanted == "":
            return
        chosen = next((column for column in times if column.name == wanted), min(times, key=_event_rank))
        self.design.event_time = chosen.name
        if chosen.type == "date":
            as_time = {"type": "timestamp", "date_format": None, "timestamp_format": chosen.date_format}
            self.design.columns = [
                column.model_copy(update=as_time) if column is chosen else column
                for column in self.design.columns
            ]
        others = ", ".join(column.name for column in times if column is not chosen)
        reason = "chosen" if wanted else "it has a value in every row"
        reason += f"; other candidates: {others}" if others else ""
        self.design.guesses.append(Guess("event time", chosen.name, reason))

    def _choose_key(self) -> None:
        rows = self._count("*")
        if self.choices.key is not None:
            wanted = tuple(str(self._column_of(name)) for name in self.choices.key)
            self._check_key(wanted, rows)
            self.design.key = wanted
            self.design.guesses.append(Guess("key", ", ".join(wanted) or "none", "chosen"))
            return
        for names in self._key_candidates():
            if self._count_distinct(names) == rows:
                self.design.key = names
                reason = f"it is unique in {rows:,} rows"
                if rows < self.samples.rows:
                    reason += (
                        f"; {self.samples.rows - rows:,} repeat another row exactly, and are deduplicated"
                    )
                self.design.guesses.append(Guess("key", ", ".join(names), reason, rows / self.samples.rows))
                return
        reason = "no id, and no two or three columns that could identify a row, are unique: rows may repeat"
        self.design.guesses.append(Guess("key", "none", reason))

    def _column_of(self, name: str | None) -> str | None:
        """Return the name of a column that a user names, perhaps as in the files."""
        by_field = {field.name: field.column for field in self.samples.fields}
        return by_field.get(name, name) if name else name

    def _check_key(self, names: Sequence[str], rows: int) -> None:
        columns = {column.name: column for column in self.design.columns}
        for name in names:
            if name not in columns or columns[name].nullable:
                raise DeclarationError(
                    f"{name} cannot be in the key: choose columns with a value in every row, from"
                    f" {', '.join(item.name for item in columns.values() if not item.nullable)}"
                )
        if names and self._count_distinct(names) < rows:
            raise DeclarationError(
                f"{', '.join(names)} is not unique: {rows - self._count_distinct(names):,} of {rows:,} rows repeat it"
            )

    def _key_candidates(self) -> Iterator[tuple[str, ...]]:
        """Yield candidates, the likeliest first: an id; an id and a position; an id and the event time; the first column."""
        kept = [column for column in self.design.columns if not column.nullable and _can_be_key(column)]
        ids = [column.name for column in kept if _looks_like_id(column.name)]
        positions = [
            column.name for column in kept if _POSITION.search(column.name) and column.name not in ids
        ]
        first = [column.name for column in kept[:1] if column.type != "timestamp"]
        times = [self.design.event_time] if self.design.event_time else []
        pool = list(dict.fromkeys([*ids, *positions, *first]))[:MAX_POOL]
        yield from ((name,) for name in dict.fromkeys([*ids, *first]))
        for size in range(1, MAX_KEY_COLUMNS):
            yield from combinations(pool, size + 1)
            yield from ((*names, *times) for names in combinations(pool, size) if times)

    def _choose_sequence(self) -> None:
        changes = [
            column.name
            for column in self.design.columns
            if column.type == "timestamp" and any(word in column.name for word in _CHANGE_NAMES)
        ]
        # A key with the event time is the most doubtful guess: if it occurs twice, the load fails, instead of dropping a row.
        times = [] if self.design.event_time in (None, *self.design.key) else [str(self.design.event_time)]
        self.design.sequence_by = tuple([*changes, *times][:1])

    def _choose_dimensions(self) -> None:
        if not self.design.event_time:
            return
        fixed = {*self.design.key, self.design.event_time, *self.design.sequence_by}
        free = [column for column in self.design.columns if column.name not in fixed]
        names, described = {self.table_name, "time", f"staging_{self.table_name}"}, set[str]()
        for column in self._dimension_keys(fixed):
            distinct, name = self._count_distinct((column.name,)), _plural(column.name)
            if column.name in described or name in names or not 2 <= distinct <= self.samples.rows // 2:
                continue
            others = [item for item in free if item.name not in described]
            attributes = [item.name for item in others if self._depends(item, column, distinct)]
            if len(attributes) < (1 if _looks_like_id(column.name) or column.name in fixed else 2):
                continue
            self.design.dimensions.append(Dimension(name, column.name, tuple(attributes)))
            reason = f"{column.name} ({count_of(distinct, 'value')}) determines {', '.join(attributes)}"
            self.design.guesses.append(Guess("dimension", name, reason))
            names.add(name)
            described |= {column.name, *attributes}

    def _dimension_keys(self, fixed: Collection[str | None]) -> list[Column]:
        """Return the columns that other columns may depend on: ids, and parts of the key, before all others."""
        parts = self.design.key if len(self.design.key) > 1 else ()
        usable = [
            column for column in self.design.columns if _can_be_key(column) and column.type != "timestamp"
        ]
        usable = [column for column in usable if column.name in parts or column.name not in fixed]
        return sorted(usable, key=lambda column: not (_looks_like_id(column.name) or column.name in parts))

    def _depends(self, item: Column, on: Column, distinct: int) -> bool:
        if item.name == on.name or _looks_like_id(item.name):
            return False
        return (
            self._count_distinct((item.name,)) > 1 and self._count_distinct((on.name, item.name)) == distinct
        )

    def _count_distinct(self, names: Sequence[str]) -> int:
        row = ", ".join(map(quote, names))
        # A row of columns counts NULL as a value, a single column does not.
        return self._count(f"DISTINCT ROW({row})")

    def _count(self, what: str) -> int:
        [(count,)] = self.samples.con.execute(f"SELECT count({what}) FROM {DISTINCT}").fetchall()
        return int(count)


def find_rule_candidates(
    samples: Samples, columns: Sequence[Column], key: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return rules of columns by name, such as `accepted_values`, that all sample rows meet, once the star is designed.

    They are shown and not declared, as a month with another value would not be published.
    """
    found = {}
    for column in columns:
        if column.name in key or column.type in ("boolean", "date", "timestamp"):
            continue
        name = quote(column.name)
        [(distinct, least, most)] = samples.con.execute(
            f"SELECT count(DISTINCT {name}), min({name}), max({name}) FROM {DISTINCT}"
        ).fetchall()
        if column.max_bytes is None and least is not None:
            found[column.name] = {"range": [float(least), float(most)]}
        elif 0 < distinct <= min(MAX_VALUES, samples.rows // ROWS_PER_VALUE):
            values = samples.con.execute(
                f"SELECT DISTINCT {name} FROM {DISTINCT} WHERE {name} IS NOT NULL ORDER BY 1"
            ).fetchall()
            found[column.name] = {"accepted_values": [value for (value,) in values]}
    return found


def _event_rank(column: Column) -> tuple[bool, bool, int]:
    """Return the order of candidates for the event time: not of a change, a timestamp, and by its name."""
    places = [place for place, word in enumerate(_EVENT_NAMES) if word in column.name]
    is_change = any(word in column.name for word in _CHANGE_NAMES)
    return is_change, column.type != "timestamp", min(places, default=len(_EVENT_NAMES))


def _looks_like_id(name: str) -> bool:
    return name == "id" or name in ("uuid", "guid") or bool(_ID.match(name))


def _can_be_key(column: Column) -> bool:
    return column.type not in ("double", "boolean") and not column.type.startswith("decimal")


def _plural(name: str) -> str:
    found = _ID.match(name)
    stem = found[1] if found else name
    if re.search(r"[^aeiou]y$", stem):
        return f"{stem[:-1]}ies"
    return f"{stem}es" if re.search(r"(s|x|ch|sh)$", stem) else f"{stem}s"
