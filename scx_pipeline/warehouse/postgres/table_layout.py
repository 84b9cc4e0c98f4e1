"""A PostgreSQL table's key, index, statistics and partitioning, found by what they are: their names may be anybody's.
When they are made and dropped is in `postgres`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from scx_pipeline.model.calendar import Month
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.postgres.partitions import by_partition
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import month_of, names, qualified, quote


@dataclass(frozen=True)
class PrimaryKey:
    """A table's primary key."""

    name: str  # of the constraint, quoted
    columns: tuple[str, ...]
    deferrable: bool


def needs_brin(table: Table) -> bool:
    """A slice is found by its event time; where the key begins with it, the key's index serves, and a partition needs none."""
    return table.partitioned and not by_partition(table) and table.key[:1] != (table.event_time,)


def needs_statistics(table: Table) -> bool:
    """The planner would expect as many months as there are event times, and neither hash nor count them in parallel."""
    return table.partitioned and not by_partition(table)


def find_key(session: Session, schema: str, table: Table) -> PrimaryKey | None:
    """The primary key that the table has, whichever columns it is of."""
    found = session.rows(
        "SELECT quote_ident(c.conname), c.condeferrable, a.attname FROM pg_constraint AS c"
        " CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (number, position)"
        " JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number"
        " WHERE c.contype = 'p' AND c.conrelid = to_regclass(%s) ORDER BY k.position",
        [qualified(schema, table)],
    )
    if not found:
        return None
    name, deferrable, _ = found[0]
    return PrimaryKey(name, tuple(column for _, _, column in found), deferrable)


def find_brin(session: Session, schema: str, table: Table) -> str | None:
    """The BRIN index of the event time and of all rows, qualified; None where the table has none that is valid."""
    found = session.rows(
        "SELECT format('%%I.%%I', n.nspname, i.relname) FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid"
        " JOIN pg_namespace AS n ON n.oid = i.relnamespace JOIN pg_am AS m ON m.oid = i.relam"
        " JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]"
        " WHERE m.amname = 'brin' AND x.indnatts = 1 AND x.indpred IS NULL AND x.indisvalid AND a.attname = %s"
        " AND x.indrelid = to_regclass(%s) ORDER BY 1 LIMIT 1",
        [table.event_time_column, qualified(schema, table)],
    )
    return str(found[0][0]) if found else None


def has_statistics(session: Session, schema: str, table: Table) -> bool:
    """Whether the table has statistics of its event time's month."""
    found = session.rows(
        "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxrelid = to_regclass(%s)",
        [qualified(schema, table)],
    )
    return any("date_trunc('month'" in text and table.event_time_column in text for (text,) in found)


def is_partitioned_as_declared(session: Session, schema: str, table: Table) -> bool:
    """Whether the table is partitioned by its event time if it is to be, and not if not; also where there is none."""
    found = session.rows(
        "SELECT (SELECT a.attname FROM pg_partitioned_table AS p JOIN pg_attribute AS a ON a.attrelid = p.partrelid"
        " AND a.attnum = p.partattrs[0] WHERE p.partrelid = c.oid AND p.partstrat = 'r' AND p.partnatts = 1),"
        " c.relkind = 'p' FROM pg_class AS c WHERE c.oid = to_regclass(%s)",
        [qualified(schema, table)],
    )
    return found in ([], [(table.event_time, True) if by_partition(table) else (None, False)])


def missing_helpers(session: Session, schema: str, table: Table) -> list[str]:
    """The statements that make the key, what finds a slice, and what tells the planner how many months there are.

    Those that the table has already are left out. PostgreSQL names keys and indexes itself, so that none is taken.
    """
    name, statements = qualified(schema, table), []
    if table.key and find_key(session, schema, table) is None:
        # Deferred, so that a month's doubled rows may stand until the newest was kept; checked before the commit.
        statements.append(
            f"ALTER TABLE {name} ADD PRIMARY KEY ({names(table.key)}) DEFERRABLE INITIALLY DEFERRED"
        )
    if needs_brin(table) and find_brin(session, schema, table) is None:
        statements.append(create_brin(schema, table))
    if needs_statistics(table) and not has_statistics(session, schema, table):
        own = f"{table.name[:40]}_months_{uuid.uuid4().hex[:8]}"
        statements.append(
            f"CREATE STATISTICS {quote(schema)}.{quote(own)} ON ({month_of(table.event_time_column)}) FROM {name}"
        )
    return statements


def create_brin(schema: str, table: Table) -> str:
    """The statement that makes the BRIN index of the event time."""
    return f"CREATE INDEX ON {qualified(schema, table)} USING brin ({quote(table.event_time_column)}) WITH (pages_per_range = 32)"


def conflicting_relations(session: Session, schema: str, table: Table, wanted: Sequence[str]) -> list[str]:
    """Which of these names in the schema have relations that are no partitions of the table."""
    found = session.rows(
        "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(wanted))}) AND NOT EXISTS"
        " (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid AND i.inhparent = to_regclass(%s)) ORDER BY 1",
        [schema, *wanted, qualified(schema, table)],
    )
    return [name for (name,) in found]


def partitions(session: Session, schema: str, table: Table) -> list[tuple[str, Month]]:
    """The table's partitions in its schema, by name, and the month of each."""
    if not by_partition(table):
        return []
    found = session.rows(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
        [qualified(schema, table)],
    )
    return [(name, Month.parse(name[-7:].replace("_", "-"))) for (name,) in found]


def dependents(session: Session, schema: str, name: str) -> list[str]:
    """The views that select from a table."""
    found = session.rows(
        "SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid"
        " WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
        " AND d.refobjid = to_regclass(%s) AND r.ev_class <> d.refobjid ORDER BY 1",
        [f"{quote(schema)}.{quote(name)}"],
    )
    return [view for (view,) in found]
