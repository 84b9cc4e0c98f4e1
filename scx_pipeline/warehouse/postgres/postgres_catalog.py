"""The catalog of a PostgreSQL database: keys, indexes, statistics and partitions, found by what they are.

Names do not identify them, as users may have renamed them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.psycopg import PostgresProtocolCatalog, PostgresProtocolTableSql
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, month_of, names, qualified, qualified_name, quote


@dataclass(frozen=True)
class PrimaryKey:
    """A table's primary key."""

    name: str  # of the constraint, quoted
    columns: tuple[str, ...]
    deferrable: bool


def has_native_partitions(table: Table) -> bool:
    """Return whether each month of the table is a PostgreSQL partition: a key would have to contain the event time."""
    return table.is_partitioned and not table.key


def partition_name(table: Table, month: Month, *suffix: str) -> str:
    """Return the name of a month's partition, no longer than PostgreSQL allows."""
    return "_".join((table.name, str(month).replace("-", "_"), *suffix))[-63:]


def partition_month(name: str) -> Month:
    """Return the month in a partition's name."""
    return Month.parse(name[-7:].replace("_", "-"))


def partition_names(table: Table, scope: MonthRange) -> list[str]:
    """Return the names of the partitions of a month range, and of those that are being built."""
    return [partition_name(table, month, *suffix) for month in scope for suffix in ((), ("new",))]


def needs_brin(table: Table) -> bool:
    """Return whether a BRIN index finds the months of the table: neither partitions nor its key's index do."""
    return table.is_partitioned and not has_native_partitions(table) and table.key[:1] != (table.event_time,)


def needs_statistics(table: Table) -> bool:
    """Return whether the planner needs statistics of months; it would expect as many as there are event times."""
    return table.is_partitioned and not has_native_partitions(table)


def create_key_sql(schema: str, table: Table) -> str:
    """Return the statement that adds the primary key.

    It is deferred, so that a month may have duplicate keys until the latest rows are kept; checked before the commit.
    """
    return f"ALTER TABLE {qualified(schema, table)} ADD PRIMARY KEY ({names(table.key)}) DEFERRABLE INITIALLY DEFERRED"


def create_brin_sql(schema: str, table: Table) -> str:
    """Return the statement that creates the BRIN index of the event time."""
    return f"CREATE INDEX ON {qualified(schema, table)} USING brin ({quote(table.event_time_column)}) WITH (pages_per_range = 32)"


def create_statistics_sql(schema: str, table: Table) -> str:
    """Return the statement that creates the statistics of the event time's month."""
    own = qualified_name(schema, f"{table.name[:40]}_months_{uuid.uuid4().hex[:8]}")
    return f"CREATE STATISTICS {own} ON ({month_of(table.event_time_column)}) FROM {qualified(schema, table)}"


class PostgresTableSql(PostgresProtocolTableSql):
    """The statements that create tables, with keys, indexes and statistics."""

    def create(self, target: str, columns: Sequence[Column], kind: str = "") -> str:
        return super().create(target, columns, kind) + (" ON COMMIT DROP" if kind else "")

    def create_stored(self, schema: str, table: Table) -> list[str]:
        [created] = super().create_stored(schema, table)
        if has_native_partitions(table):
            return [f"{created} PARTITION BY RANGE ({quote(table.event_time_column)})"]
        return [
            created,
            *([create_key_sql(schema, table)] if table.key else []),
            *([create_brin_sql(schema, table)] if needs_brin(table) else []),
            *([create_statistics_sql(schema, table)] if needs_statistics(table) else []),
        ]


class PostgresCatalog(PostgresProtocolCatalog):
    """The catalog, read from pg_catalog."""

    owner_name = "pg_get_userbyid(c.relowner)"  # pg_user lacks roles that cannot log in

    def has_published_data(self) -> bool:
        # A failed first load has left the state tables without rows. Analysts may not read them.
        return bool(self.session.rows(_HAS_ROWS, [STATE_SCHEMA, "loads"]))

    def differs(self, schema: str, table: Table, columns: Sequence[tuple[str, str]] | None = None) -> bool:
        return super().differs(schema, table, columns) or not self._is_partitioned_as_declared(schema, table)

    def conflicting_names(self, schema: str, table: Table, scope: LoadScope) -> list[str]:
        if scope is UNPARTITIONED or not has_native_partitions(table):
            return []
        wanted = partition_names(table, scope)
        found = self.session.rows(
            "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            f" WHERE n.nspname = %s AND c.relname IN ({', '.join(['%s'] * len(wanted))}) AND NOT EXISTS"
            " (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid AND i.inhparent = to_regclass(%s)) ORDER BY 1",
            [schema, *wanted, qualified(schema, table)],
        )
        return [name for (name,) in found]

    def list_dependents(self, schema: str, name: str) -> list[str]:
        """Return the views that select from a table."""
        found = self.session.rows(
            "SELECT DISTINCT r.ev_class::regclass::text FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid"
            " WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
            " AND d.refobjid = to_regclass(%s) AND r.ev_class <> d.refobjid ORDER BY 1",
            [qualified_name(schema, name)],
        )
        return [view for (view,) in found]

    def list_partitions(self, schema: str, table: Table) -> list[str]:
        """Return the names of the table's partitions in its schema."""
        if not has_native_partitions(table):
            return []
        found = self.session.rows(
            "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n"
            " ON n.oid = c.relnamespace WHERE i.inhparent = to_regclass(%s) AND n.nspname = %s ORDER BY 1",
            [qualified(schema, table), schema],
        )
        return [name for (name,) in found]

    def find_key(self, schema: str, table: Table) -> PrimaryKey | None:
        """Return the primary key that the table has, on whichever columns."""
        found = self.session.rows(
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

    def find_brin(self, schema: str, table: Table) -> str | None:
        """Return the qualified name of a valid BRIN index of the event time over all rows; None if there is none."""
        found = self.session.rows(
            "SELECT format('%%I.%%I', n.nspname, i.relname) FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid"
            " JOIN pg_namespace AS n ON n.oid = i.relnamespace JOIN pg_am AS m ON m.oid = i.relam"
            " JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]"
            " WHERE m.amname = 'brin' AND x.indnatts = 1 AND x.indpred IS NULL AND x.indisvalid AND a.attname = %s"
            " AND x.indrelid = to_regclass(%s) ORDER BY 1 LIMIT 1",
            [table.event_time_column, qualified(schema, table)],
        )
        return str(found[0][0]) if found else None

    def missing_helpers(self, schema: str, table: Table) -> list[str]:
        """Return the statements that create the key, the index and the statistics that the table lacks.

        PostgreSQL names keys and indexes itself, so that no name is taken.
        """
        statements = []
        if table.key and self.find_key(schema, table) is None:
            statements.append(create_key_sql(schema, table))
        if needs_brin(table) and self.find_brin(schema, table) is None:
            statements.append(create_brin_sql(schema, table))
        if needs_statistics(table) and not self._has_statistics(schema, table):
            statements.append(create_statistics_sql(schema, table))
        return statements

    def _has_statistics(self, schema: str, table: Table) -> bool:
        """Return whether the table has statistics of its event time's month."""
        found = self.session.rows(
            "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxrelid = to_regclass(%s)",
            [qualified(schema, table)],
        )
        return any("date_trunc('month'" in text and table.event_time_column in text for (text,) in found)

    def _is_partitioned_as_declared(self, schema: str, table: Table) -> bool:
        """Return whether the table is partitioned by its event time exactly if it should be, or does not exist."""
        found = self.session.rows(
            "SELECT (SELECT a.attname FROM pg_partitioned_table AS p JOIN pg_attribute AS a ON a.attrelid = p.partrelid"
            " AND a.attnum = p.partattrs[0] WHERE p.partrelid = c.oid AND p.partstrat = 'r' AND p.partnatts = 1),"
            " c.relkind = 'p' FROM pg_class AS c WHERE c.oid = to_regclass(%s)",
            [qualified(schema, table)],
        )
        return found in ([], [(table.event_time, True) if has_native_partitions(table) else (None, False)])


_HAS_ROWS = (
    "SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = %s AND pg_relation_size(c.oid) > 0"
)
