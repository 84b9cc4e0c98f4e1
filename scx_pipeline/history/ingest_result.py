"""What an ingestion did: what became of each object's rows, which were refused, and which keys stand twice.
How rows are read is in `ingest` and `copied`; what of it is kept in the warehouse is in `history`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.parser import Refused, UndeclaredFields
from scx_pipeline.planning.selection import SelectedObject

# Of a table's rejected rows, in one load: characters of their raw texts, and rows, as short ones take memory too.
MAX_STORED_CHARACTERS, MAX_STORED_ROWS = 64 << 20, 500_000


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not loaded: where it is, which column is wrong and why, and its raw text."""

    key: str
    line: int | None
    column: str | None
    reason: str
    raw: str


@dataclass(slots=True)
class ObjectCount:
    """What became of an object's rows: read = loaded + rejected + deduplicated + filtered."""

    object: SelectedObject
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0  # rows of months outside the span

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.deduplicated + self.filtered


@dataclass(frozen=True)
class DuplicateKey:
    """A key that stands in two months of the span, or twice in one, or twice in a table without months."""

    key: tuple[object, ...]
    months: tuple[Month, Month] | None


@dataclass
class IngestResult:
    """What an ingestion did, per object, and what it refused."""

    table: Table
    counts: list[ObjectCount] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    duplicate_keys: list[DuplicateKey] = field(default_factory=list)
    stored_characters: int = 0  # of the rejected rows' raw texts
    ended_early: bool = False  # since more rows were rejected than the source's limit allows, whatever comes
    undeclared_fields: list[tuple[str, UndeclaredFields]] = field(
        default_factory=list
    )  # key, and its undeclared or absent fields
    superseded: str | None = (
        None  # the table, on the landing's connection, of the keys of which only the newest row stays
    )

    def store(self, count: ObjectCount, refused: Sequence[Refused]) -> None:
        """Keep an object's rows that stay out, as long as there is room for their texts."""
        for row in sorted(refused, key=lambda row: row.line or 0):
            if self.stored_characters > MAX_STORED_CHARACTERS or len(self.rejected) == MAX_STORED_ROWS:
                return
            raw = row.raw.replace("\0", "\\0")
            self.stored_characters += len(raw)
            self.rejected.append(Rejected(count.object.info.key, row.line, row.column, row.reason, raw))

    def total(self, name: str) -> int:
        """The sum of one of the counts over all objects."""
        return sum(getattr(count, name) for count in self.counts)


def bounds_of(item: SelectedObject, months: MonthRange) -> MonthRange:
    """The months that an object's rows may belong to, of those that the star may hold."""
    named = item.months
    if named is None:
        return months
    first, last = max(named.first, months.first), min(named.last, months.last)
    return MonthRange(first, last) if first <= last else MonthRange(named.first, named.first)
