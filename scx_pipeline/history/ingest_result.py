"""The result of an ingestion: row counts per object, rejected rows and conflicting keys.

Reading rows and storing the result do not belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.rejected_row import RejectedRow
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.parser import UndeclaredFields
from scx_pipeline.planning.selection import SelectedObject

# Limits per table and load on the stored rejected rows: characters of their raw texts, and rows.
MAX_STORED_CHARACTERS, MAX_STORED_ROWS = 64 << 20, 500_000


@dataclass(slots=True)
class ObjectCount:
    """The row counts of an object: read = loaded + rejected + deduplicated + filtered."""

    object: SelectedObject
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    deduplicated: int = 0
    filtered: int = 0  # Good rows outside the load scope.

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.deduplicated + self.filtered


@dataclass(frozen=True)
class ConflictingKey:
    """A key that occurs in two of the loaded months, twice in one of them, or twice in an unpartitioned table.

    `months` are the first and the last that it occurs in; None for an unpartitioned table.
    """

    key: tuple[object, ...]
    months: tuple[Month, Month] | None


@dataclass
class IngestResult:
    """The row counts of an ingestion per object, and the rows that it rejected."""

    table: Table
    counts: list[ObjectCount] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    # The first conflicting keys, and the rows of all of them by month.
    conflicting_keys: list[ConflictingKey] = field(default_factory=list)
    conflicting_rows: Mapping[Month | None, int] = field(default_factory=dict)
    conflicting_months: Collection[tuple[Month, Month]] = ()  # pairs of months that have a key in common
    # Characters of the stored raw texts of rejected rows.
    stored_characters: int = 0
    # Whether reading stopped because too many rows were rejected, whatever the remaining objects hold.
    ended_early: bool = False
    # Object keys, each with its undeclared or absent fields.
    undeclared_fields: list[tuple[str, UndeclaredFields]] = field(default_factory=list)
    # Those of objects that a load of additions does not read again, as far as they are recorded: rows read and rejected.
    earlier: Sequence[ObjectCount] = ()
    # Table, on the staging buffer's connection, with the keys of which only the newest row is kept.
    duplicate_keys_table: str | None = None

    def store(self, source: str, rows: Sequence[RejectedRow]) -> None:
        """Store the rejected rows of an object of a source, up to the limits of a load."""
        for row in sorted(rows, key=lambda row: row.line or 0):
            if self.stored_characters > MAX_STORED_CHARACTERS or len(self.rejected) == MAX_STORED_ROWS:
                return
            raw = row.raw.replace("\0", "\\0")
            self.stored_characters += len(raw)
            self.rejected.append(replace(row, raw=raw, source=source))

    def of_source(self, source: str) -> IngestResult:
        """Return the counts and rejected rows of one of the table's sources."""
        return replace(
            self,
            counts=[count for count in self.counts if count.object.source == source],
            rejected=[row for row in self.rejected if row.source == source],
            earlier=[count for count in self.earlier if count.object.source == source],
        )

    def total(self, name: str) -> int:
        """Return the sum of one of the counts over all objects."""
        return sum(getattr(count, name) for count in self.counts)


def allowed_months(item: SelectedObject, months: MonthRange) -> MonthRange:
    """Return the months that an object's rows may belong to, within the months of the star."""
    named = item.months
    if named is None:
        return months
    first, last = max(named.first, months.first), min(named.last, months.last)
    return MonthRange(first, last) if first <= last else MonthRange(named.first, named.first)
