"""The inspection of a star's tables in a warehouse: which are foreign, and which differ from their declaration.

Changing any of them does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import WarehouseError
from scx_pipeline.history.history_reader import read_month_states, read_unpartitioned_state
from scx_pipeline.history.state_tables import STATE_TABLES, TABLES, UNPARTITIONED_LOADS
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.table_records import (
    ADOPTED,
    UNDECLARED,
    Name,
    RecordedTable,
    check_state_tables,
    columns_text,
    declared_tables,
    read_records,
)
from scx_pipeline.warehouse.catalog import Relation
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA


@dataclass(frozen=True)
class ForeignTable:
    """A table, view or other relation that has a declared name and that the pipeline did not create."""

    schema: str
    table: str
    relation: Relation
    star: str  # that declares the name
    declared_table: str  # that the name belongs to
    reason: str
    adoptable: bool
    owning_star: str = ""  # the other star that the table belongs to, if any

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    def describe(self) -> str:
        """Return its kind, owner and columns."""
        owner = f" of {self.relation.owner}" if self.relation.owner else ""
        columns = columns_text(self.relation.columns)
        return f"{self.relation.kind}{owner}{f' with the columns {columns}' if columns else ''}"

    def message(self) -> str:
        """Return why it prevents a load from starting, and how to continue."""
        if self.owning_star:  # Its rows may be in use: suggest nothing that would lose them.
            return (
                f"{self.name} {self.reason} ({self.describe()}): declare another `schema:` for one of the two stars; if {self.owning_star} no longer"
                f" declares it, run `scx drop {self.owning_star}` first, which shows what it would drop, and then run it with --yes"
            )
        adopt = (
            f" or run `scx adopt {self.star} {self.declared_table}`, which first shows what it would replace, and then run it with --yes"
            if self.adoptable
            else " or rename or remove it"
        )
        return f"{self.name} {self.reason} ({self.describe()}): declare another `schema:` for the star {self.star},{adopt}"


@dataclass(frozen=True)
class Inspection:
    """The relations that exist under the names of a star's tables, and the pipeline's records of them."""

    compiled: CompiledStar
    found: Mapping[Name, Relation]
    recorded: Mapping[Name, RecordedTable]
    # Whether the star was loaded by an earlier version, which recorded no tables.
    unrecorded_version: bool = False

    def foreign(self) -> list[ForeignTable]:
        """Return the relations that have a declared name and do not belong to the star."""
        candidates = (
            self._foreign(schema, table, declared)
            for schema, table, declared in declared_tables(self.compiled)
        )
        return [item for item in candidates if item is not None]

    def _foreign(self, schema: str, table: Table, declared: str) -> ForeignTable | None:
        relation = self.found.get((schema, table.name))
        if relation is None:
            return None
        record, adoptable, owning_star = self.recorded.get((schema, table.name)), relation.is_table, ""
        if record is not None and record.star != self.compiled.star.name:
            reason, adoptable, owning_star = f"belongs to the star {record.star}", False, record.star
        elif record is None:
            reason = "was not created by this pipeline"
        elif relation.is_table and record.columns == columns_text(relation.columns):
            return None
        else:
            reason = "was changed by others since this pipeline created it"
        star = self.compiled.star.name
        return ForeignTable(schema, table.name, relation, star, declared, reason, adoptable, owning_star)

    def check(self) -> None:
        """Check that no relation is foreign. Raises WarehouseError."""
        foreign, star = self.foreign(), self.compiled.star.name
        if not foreign:
            return
        if self.unrecorded_version and all(item.adoptable for item in foreign):
            raise WarehouseError(
                f"the tables of {star}, such as {foreign[0].name}, were loaded by a version that did not record which tables it created: "
                f"run `scx adopt {star} --all`, which first shows what it would replace, and then run it with --yes; nothing was changed"
            )
        first, *rest = foreign
        similar = [item for item in rest if (item.reason, item.adoptable) == (first.reason, first.adoptable)]
        others = [f"{item.name} {item.reason}" for item in rest if item not in similar]
        more = f"; the same applies to {', '.join(item.name for item in similar)}" if similar else ""
        more += f"; in addition, {', '.join(others)}" if others else ""
        raise WarehouseError(f"{first.message()}{more}; nothing was changed")

    def difference(self, session: Session, schema: str, table: Table) -> str:
        """Return how an existing table differs from its declaration; empty if it does not."""
        relation, record = self.found[schema, table.name], self.recorded.get((schema, table.name))
        if record is not None and record.layout == ADOPTED:
            return "was adopted"
        if record is not None and record.layout == UNDECLARED:
            return "was undeclared for some time, and loads skipped it"
        if record is not None and record.key != ", ".join(table.key):
            return "has a key other than the declared one"
        if record is not None and record.event_time != (table.event_time or ""):
            return "has an event time other than the declared one"
        if session.catalog.differs(schema, table, relation.columns):
            return "does not match its declaration (columns or partitioning)"
        if record is not None and record.layout != session.tables.physical_layout(table):
            return "is not distributed, sorted or encoded as declared"
        return ""


def inspect(session: Session, compiled: CompiledStar) -> Inspection:
    """Inspect the star's tables. Raises WarehouseError if another application owns the state schema."""
    names: dict[str, list[str]] = {STATE_SCHEMA: [table.name for table in STATE_TABLES]}
    for schema, table, _ in declared_tables(compiled):
        names.setdefault(schema, []).append(table.name)
    found = {
        (schema, name): relation
        for schema, wanted in names.items()
        for name, relation in session.catalog.find_relations(schema, wanted).items()
    }
    check_state_tables(session, found)
    if (STATE_SCHEMA, TABLES.name) in found:
        records = {(item.schema, item.table): item for item in read_records(session)}
        return Inspection(compiled, found, records)
    loaded = (STATE_SCHEMA, UNPARTITIONED_LOADS.name) in found and _was_loaded(session, compiled.star.name)
    return Inspection(compiled, found, {}, unrecorded_version=loaded)


def check_dependents(session: Session, names: Iterable[Name], reason: str) -> None:
    """Check that no view selects from a table that is to be replaced or dropped, for the given reason. Raises WarehouseError."""
    for schema, name in names:
        dependents = session.catalog.list_dependents(schema, name)
        if dependents:
            raise WarehouseError(
                f"{schema}.{name} {reason}, but views select from it ({', '.join(dependents)}): drop them, and recreate them after "
                "the load; nothing was changed"
            )


def _was_loaded(session: Session, star: str) -> bool:
    return bool(read_month_states(session, star)) or read_unpartitioned_state(session, star) is not None
