"""Which tables of a warehouse the pipeline made, and how: what is foreign, what differs from its declaration, what is left over.
A load's own steps are in `prepare`; ADR 16 has the rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import latest_rows_table
from scx_pipeline.errors import WarehouseError
from scx_pipeline.history.load_history import STATE_TABLES, TABLES, WHOLES, read_months, read_unpartitioned
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.session import Relation, Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, qualified, quote
from scx_pipeline.warehouse.warehouse import Warehouse

ADOPTED = "adopted"  # the layout of a table that was not made here, so that the next load rebuilds it
# The layout of a table that loads have left out, as it was not declared: rebuilt as well, should it be declared again.
LEFT_OUT = "left out"

Name = tuple[str, str]  # schema and table


@dataclass(frozen=True)
class RecordedTable:
    """A table that the pipeline made or adopted, as it was then."""

    star: str
    schema: str
    table: str
    columns: str  # as the engine describes them
    key: str
    event_time: str
    layout: str

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class ForeignTable:
    """A table, view or the like that has a declared name, and that the pipeline did not make."""

    schema: str
    table: str
    relation: Relation
    star: str  # whose table it would be
    declared: str  # the declared table that it belongs to
    why: str
    adoptable: bool
    other: str = ""  # the star whose table it is, if it is another star's

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    def described(self) -> str:
        """What it is, whose, and its columns."""
        owner = f" of {self.relation.owner}" if self.relation.owner else ""
        columns = _columns_text(self.relation.columns)
        return f"{self.relation.kind}{owner}{f' with the columns {columns}' if columns else ''}"

    def message(self) -> str:
        """Why it keeps a load from starting, and how to continue."""
        if self.other:  # whose rows may be in use, so that nothing here may lead to their loss
            return (
                f"{self.name} {self.why} ({self.described()}): declare another `schema:` for one of the two stars; if {self.other} no longer"
                f" declares it, run `scx drop {self.other}` first, which shows what it would drop, and then run it with --yes"
            )
        adopt = (
            f" or run `scx adopt {self.star} {self.declared}`, which first shows what it would replace, and then run it with --yes"
            if self.adoptable
            else " or rename or remove it"
        )
        return f"{self.name} {self.why} ({self.described()}): declare another `schema:` for the star {self.star},{adopt}"


@dataclass(frozen=True)
class Leftover:
    """A table that the pipeline made, and that no star declares any more."""

    star: str
    schema: str
    table: str
    exists: bool
    changed: bool  # by others since, or made by others and never loaded, so that it is not removed

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def state(self) -> str:
        if not self.exists:
            return "no longer exists"
        return (
            "was made or changed by others, and is left alone" if self.changed else "as the pipeline made it"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Inspection:
    """What a warehouse has under the names of a star's tables, and what the pipeline recorded of them."""

    compiled: CompiledStar
    found: Mapping[Name, Relation]
    recorded: Mapping[Name, RecordedTable]
    unrecorded_version: bool = False  # whether an earlier version loaded the star, which recorded no tables

    def foreign(self) -> list[ForeignTable]:
        """What has a declared name and is not ours."""
        judged = (
            self._foreign(schema, table, declared)
            for schema, table, declared in declared_tables(self.compiled)
        )
        return [item for item in judged if item is not None]

    def _foreign(self, schema: str, table: Table, declared: str) -> ForeignTable | None:
        relation = self.found.get((schema, table.name))
        if relation is None:
            return None
        record, adoptable, other = self.recorded.get((schema, table.name)), relation.is_table, ""
        if record is not None and record.star != self.compiled.star.name:
            why, adoptable, other = f"belongs to the star {record.star}", False, record.star
        elif record is None:
            why = "was not made by this pipeline"
        elif relation.is_table and record.columns == _columns_text(relation.columns):
            return None
        else:
            why = "was changed by others since this pipeline made it"
        return ForeignTable(
            schema, table.name, relation, self.compiled.star.name, declared, why, adoptable, other
        )

    def check(self) -> None:
        """Raise WarehouseError for what is foreign."""
        foreign, star = self.foreign(), self.compiled.star.name
        if not foreign:
            return
        if self.unrecorded_version and all(item.adoptable for item in foreign):
            raise WarehouseError(
                f"the tables of {star}, such as {foreign[0].name}, were loaded by a version that did not record which tables it made: "
                f"run `scx adopt {star} --all`, which first shows what it would replace, and then run it with --yes; nothing was changed"
            )
        first, *rest = foreign
        alike = [item for item in rest if (item.why, item.adoptable) == (first.why, first.adoptable)]
        besides = [f"{item.name} {item.why}" for item in rest if item not in alike]
        more = f"; the same applies to {', '.join(item.name for item in alike)}" if alike else ""
        more += f"; besides, {', '.join(besides)}" if besides else ""
        raise WarehouseError(f"{first.message()}{more}; nothing was changed")

    def difference(self, session: Session, schema: str, table: Table) -> str:
        """What of a table that exists is otherwise than declared; empty where nothing is."""
        relation, record = self.found[schema, table.name], self.recorded.get((schema, table.name))
        if record is not None and record.layout == ADOPTED:
            return "was adopted"
        if record is not None and record.layout == LEFT_OUT:
            return "was not declared for a time, and loads have left it out"
        if record is not None and record.key != ", ".join(table.key):
            return "has a key other than the declared one"
        if record is not None and record.event_time != (table.event_time or ""):
            return "has an event time other than the declared one"
        if session.differs(schema, table, relation.columns):
            return "differs from its declaration in its columns or its partitioning"
        if record is not None and record.layout != session.layout(table):
            return "is not distributed, sorted or encoded as declared"
        return ""


def declared_tables(compiled: CompiledStar) -> list[tuple[str, Table, str]]:
    """The tables that a load of the star makes: schema, table, and the declared table that it belongs to."""
    star = compiled.star
    own = [(star.schema_name, table, table.name) for table in star.tables]
    return own + [
        (STATE_SCHEMA, latest_rows_table(compiled, table), table.name) for table in kept_by_key(star.tables)
    ]


def stored_tables(compiled: CompiledStar) -> list[tuple[str, Table]]:
    """The same in the same order, as they are named for now: schema and table."""
    star = compiled.star
    own = [(star.schema_name, compiled.stored(table)) for table in star.tables]
    return own + [(STATE_SCHEMA, latest_rows_table(compiled, table)) for table in kept_by_key(star.tables)]


def kept_by_key(tables: Iterable[Table]) -> list[Table]:
    """Those of the tables of which each month's newest rows are kept as well."""
    return [table for table in tables if not table.partitioned and not table.unpartitioned]


def inspect(session: Session, compiled: CompiledStar) -> Inspection:
    """Look up the star's tables. Raises WarehouseError for a state schema that is another application's."""
    star = compiled.star
    names: dict[str, list[str]] = {STATE_SCHEMA: [table.name for table in STATE_TABLES]}
    for schema, table, _ in declared_tables(compiled):
        names.setdefault(schema, []).append(table.name)
    found = {
        (schema, name): relation
        for schema, wanted in names.items()
        for name, relation in session.relations_of(schema, wanted).items()
    }
    _check_state(session, found)
    knows = (STATE_SCHEMA, TABLES.name) in found
    earlier = not knows and (STATE_SCHEMA, WHOLES.name) in found and _was_loaded(session, star.name)
    recorded = {(item.schema, item.table): item for item in _read_tables(session, None)} if knows else {}
    return Inspection(compiled, found, recorded, earlier)


def _was_loaded(session: Session, star: str) -> bool:
    return bool(read_months(session, star)) or read_unpartitioned(session, star) is not None


def _check_state(session: Session, found: Mapping[Name, Relation]) -> None:
    for table in STATE_TABLES:
        relation = found.get((STATE_SCHEMA, table.name))
        if relation and not (
            relation.is_table and not session.differs(STATE_SCHEMA, table, relation.columns)
        ):
            owner = f" of {relation.owner}" if relation.owner else ""
            raise WarehouseError(
                f"the schema {STATE_SCHEMA}, which keeps the load history, has a {relation.kind} {table.name}{owner} with other columns "
                f"({_columns_text(relation.columns)}): if a newer version of scx_pipeline made it, use that version again; if another "
                "application did, rename its schema or load into another database; nothing was changed"
            )


# ------------------------------------------------------------------ the record


def read_tables(session: Session, star: str | None = None) -> list[RecordedTable]:
    """The tables that were recorded, of one star or of all; none where nothing was ever loaded."""
    return _read_tables(session, star) if session.table_exists(STATE_SCHEMA, TABLES.name) else []


def _read_tables(session: Session, star: str | None) -> list[RecordedTable]:
    mark = session.capabilities.placeholder
    rows = session.rows(
        "SELECT star, schema_name, table_name, column_list, key_columns, event_time, layout"
        f" FROM {qualified(STATE_SCHEMA, TABLES)}{f' WHERE star = {mark}' if star else ''} ORDER BY 1, 2, 3",
        [star] if star else [],
    )
    return [RecordedTable(*row) for row in rows]


def record_tables(session: Session, star: str, made: Sequence[tuple[str, Table, Table]]) -> None:
    """Record tables that were just created, in the same transaction: the schema, the table, and as it is named for now."""
    for schema in dict.fromkeys(schema for schema, _, _ in made):
        tables = [(table, stored) for other, table, stored in made if other == schema]
        columns = session.columns_of(schema, [stored.name for _, stored in tables])
        for table, stored in tables:
            key, text = ", ".join(table.key), _columns_text(columns[stored.name])
            layout = session.layout(table)
            _record(
                session, RecordedTable(star, schema, table.name, text, key, table.event_time or "", layout)
            )


def mark_left_out(session: Session, look: Inspection) -> None:
    """Note which of the star's recorded tables the load leaves out, as they are not declared: their rows are old from now on."""
    names = {(schema, table.name) for schema, table, _ in declared_tables(look.compiled)}
    mark, star = session.capabilities.placeholder, look.compiled.star.name
    left = [item for name, item in look.recorded.items() if item.star == star and name not in names]
    for item in left:
        if item.layout not in (LEFT_OUT, ADOPTED):
            session.begin()
            session.execute(
                f"UPDATE {qualified(STATE_SCHEMA, TABLES)} SET layout = {mark} WHERE schema_name = {mark} AND table_name = {mark}",
                [LEFT_OUT, item.schema, item.table],
            )


def forget_tables(session: Session, names: Iterable[Name]) -> None:
    """Remove tables from the record."""
    mark = session.capabilities.placeholder
    for schema, table in names:
        session.execute(
            f"DELETE FROM {qualified(STATE_SCHEMA, TABLES)} WHERE schema_name = {mark} AND table_name = {mark}",
            [schema, table],
        )


def _record(session: Session, item: RecordedTable) -> None:
    forget_tables(session, [(item.schema, item.table)])
    now = datetime.now(UTC).replace(tzinfo=None)
    row = (item.schema, item.table, item.star, item.columns, item.key, item.event_time, item.layout, now)
    session.insert_rows(qualified(STATE_SCHEMA, TABLES), TABLES.columns, [row])


def _columns_text(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)


# ------------------------------------------------------------------ adoption


@dataclass(frozen=True)
class Adoption:
    """A foreign table that would become the star's, or did."""

    table: str
    kind: str
    owner: str
    columns: Sequence[str]
    rows: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def adopt(compiled: CompiledStar, warehouse: Warehouse, tables: Collection[str], yes: bool) -> list[Adoption]:
    """Make foreign tables the star's own, so that the next load replaces their rows; without `yes`, only say which.

    `tables` are declared names; empty for all. Raises WarehouseError for what cannot be adopted.
    """
    star = compiled.star
    unknown = sorted(set(tables) - {table.name for table in star.tables})
    if unknown:
        raise WarehouseError(
            f"{unknown[0]} is no table of {star.name}, which has: {', '.join(table.name for table in star.tables)}"
        )
    if not yes:
        with warehouse.inspecting() as reading:
            return _adopt(reading, compiled, tables, yes) if reading else []
    return warehouse.run(star.name, lambda session: _adopt(session, compiled, tables, yes))


def _adopt(session: Session, compiled: CompiledStar, tables: Collection[str], yes: bool) -> list[Adoption]:
    look = inspect(session, compiled)
    chosen = [item for item in look.foreign() if not tables or item.declared in tables]
    for item in chosen:
        if not item.adoptable:
            raise WarehouseError(f"{item.message()}; nothing was changed")
    adopted = [_adoption(session, item) for item in chosen]
    if yes and chosen:
        session.begin()
        create_shared(session, look)
        for item in chosen:
            columns = _columns_text(item.relation.columns)
            _record(session, RecordedTable(item.star, item.schema, item.table, columns, "", "", ADOPTED))
    return adopted


def _adoption(session: Session, item: ForeignTable) -> Adoption:
    [(rows,)] = session.rows(f"SELECT COUNT(*) FROM {quote(item.schema)}.{quote(item.table)}")
    columns = [f"{name} {kind}" for name, kind in item.relation.columns]
    return Adoption(item.name, item.relation.kind, item.relation.owner, columns, int(rows))


def not_adopted(
    compiled: CompiledStar, warehouse: Warehouse, tables: Collection[str], adopted: Collection[Adoption]
) -> list[str]:
    """Of these declared tables, why each that is not among the adopted ones need not be: a sentence each."""
    with warehouse.inspecting() as session:
        look = inspect(session, compiled) if session else Inspection(compiled, {}, {})
    names, told = {item.table for item in adopted}, []
    for table in compiled.star.tables:
        made = [(s, item.name) for s, item, declared in declared_tables(compiled) if declared == table.name]
        if table.name in tables and not any(f"{schema}.{name}" in names for schema, name in made):
            told.append(f"{compiled.star.schema_name}.{table.name} {_why_not_adopted(look, made[0])}")
    return told


def _why_not_adopted(look: Inspection, name: Name) -> str:
    record = look.recorded.get(name)
    if name not in look.found:
        return "does not exist yet: the next load creates it"
    if record is not None and record.layout == ADOPTED:
        return "was adopted already: the next load rebuilds it"
    return "was made by this pipeline: nothing to adopt"


def create_shared(session: Session, look: Inspection) -> None:
    """Create what the loads of all stars share, where it is missing: the schemas and the state tables."""
    schema = look.compiled.star.schema_name
    if {(STATE_SCHEMA, table.name) for table in STATE_TABLES} <= look.found.keys() and any(
        name[0] == schema for name in look.found
    ):
        return
    with session.apart() as shared:  # or else the first load of another star could create the same
        existing = shared.schemas()
        for name in dict.fromkeys((schema, STATE_SCHEMA)):
            if name not in existing:  # PostgreSQL would ask for the right to create one that exists
                shared.create_schema(name)
        found = shared.columns_of(STATE_SCHEMA, [table.name for table in STATE_TABLES])
        missing = [table for table in STATE_TABLES if table.name not in found]
        if missing:
            with shared.at_once():
                for table in missing:
                    shared.create_table(STATE_SCHEMA, table)


# ------------------------------------------------------------------ leftovers


def find_leftovers(
    session: Session, compiled: CompiledStar | None, declared: Collection[str] = ()
) -> list[Leftover]:
    """What was made for a star, and is not declared any more; without a star, of all stars but the declared ones."""
    if compiled is None:
        recorded = [item for item in read_tables(session) if item.star not in declared]
        current: set[Name] = set()
    else:
        recorded = read_tables(session, compiled.star.name)
        current = {(schema, table.name) for schema, table, _ in declared_tables(compiled)}
    old = [item for item in recorded if (item.schema, item.table) not in current]
    return [_leftover(session, item) for item in old]


def _leftover(session: Session, item: RecordedTable) -> Leftover:
    relation = session.relations_of(item.schema, [item.table]).get(item.table)
    changed = relation is not None and (
        item.layout == ADOPTED or not relation.is_table or _columns_text(relation.columns) != item.columns
    )
    return Leftover(item.star, item.schema, item.table, relation is not None, changed)


def drop_leftovers(warehouse: Warehouse, star: str, compiled: CompiledStar | None) -> list[Leftover]:
    """Drop a star's leftovers, all in one transaction; of a star that is not declared any more, also its load history."""

    def work(session: Session) -> list[Leftover]:
        found = [item for item in find_leftovers(session, compiled) if item.star == star]
        session.begin()
        for item in found:
            if item.exists and not item.changed:
                session.drop_table(item.schema, item.table)
        forget_tables(session, [(item.schema, item.table) for item in found])
        if compiled is None:
            mark = session.capabilities.placeholder
            for table in STATE_TABLES:
                session.execute(f"DELETE FROM {qualified(STATE_SCHEMA, table)} WHERE star = {mark}", [star])
        return found

    return warehouse.run(star, work)
