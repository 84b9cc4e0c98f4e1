"""Where a load's rows go in PostgreSQL: into the table in place of deleted rows, or into new partitions.

Which rows they are, and how they are copied, is not decided here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable

from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.postgres import session_settings
from scx_pipeline.warehouse.postgres.postgres_catalog import (
    create_brin_sql,
    has_native_partitions,
    needs_brin,
    partition_name,
)
from scx_pipeline.warehouse.postgres.postgres_session import PostgresSession
from scx_pipeline.warehouse.psycopg import read_timeout_error
from scx_pipeline.warehouse.sql_text import in_month_range, qualified, qualified_name, quote, scope_condition

LOCK_ATTEMPT_SECONDS = 2.0  # a load that waits for readers blocks new ones for this long
LOCK_PAUSE_SECONDS = 0.5  # between two attempts


class PartitionTarget(ABC):
    """Where a load's rows are written.

    Call `begin`, write to the tables that `table_for` returns, then `end` and `swap`. `complete` does the last two, for rows that
    the transaction reads afterwards.
    """

    by_month: bool  # whether the rows of each month go into a table of their own

    def __init__(self, session: PostgresSession, schema: str, table: Table, scope: LoadScope) -> None:
        self.session, self.schema, self.table, self.scope = session, schema, table, scope
        self.name, self.in_scope = qualified(schema, table), scope_condition(table, scope)

    @abstractmethod
    def begin(self) -> None:
        """Prepare for the rows."""

    @abstractmethod
    def parts(self, months: Iterable[Month]) -> list[tuple[Month | None, str]]:
        """Return how to split rows of these months before they are copied: the month and the condition of each part."""

    @abstractmethod
    def table_for(self, month: Month | None) -> tuple[str, bool]:
        """Return the table that takes the rows of a part, and whether it is invisible to others until the commit."""

    @abstractmethod
    def end(self) -> None:
        """Finish, after all rows were taken."""

    @abstractmethod
    def swap(self) -> None:
        """Make the rows visible in the table to this transaction."""

    def complete(self) -> None:
        """Finish after all rows were taken, and make them visible to this transaction."""
        self.end()
        self.swap()


class InPlaceTarget(PartitionTarget):
    """Rows replace deleted ones in the table itself."""

    by_month = False

    def __init__(self, session: PostgresSession, schema: str, table: Table, scope: LoadScope) -> None:
        super().__init__(session, schema, table, scope)
        self.fill = TableFill(session, schema, table)

    def begin(self) -> None:
        self.session.execute(f"DELETE FROM {self.name} WHERE {self.in_scope}")
        self.fill.begin()

    def parts(self, months: Iterable[Month]) -> list[tuple[Month | None, str]]:
        return [(None, self.in_scope)]

    def table_for(self, month: Month | None) -> tuple[str, bool]:
        return self.name, self.name in self.session.created

    def end(self) -> None:
        self.fill.finish()

    def swap(self) -> None:
        """Do nothing: the rows are in the table."""


class NewPartitionsTarget(PartitionTarget):
    """Each month is built as a table that then becomes its partition.

    No row is deleted, no index searched, and readers see the old partition until `swap`, which takes an instant at the end.
    """

    by_month = True

    def __init__(self, session: PostgresSession, schema: str, table: Table, scope: LoadScope) -> None:
        assert scope is not UNPARTITIONED
        super().__init__(session, schema, table, scope)
        self.new_tables: dict[Month, str] = {}

    def begin(self) -> None:
        """Do nothing: the table of a month is created for its first rows."""

    def parts(self, months: Iterable[Month]) -> list[tuple[Month | None, str]]:
        return [(month, self._month_condition(month)) for month in sorted(months)]

    def _month_condition(self, month: Month) -> str:
        return in_month_range(self.table.event_time_column, MonthRange(month, month))

    def table_for(self, month: Month | None) -> tuple[str, bool]:
        assert month is not None
        if month not in self.new_tables:
            self.new_tables[month] = name = qualified_name(
                self.schema, partition_name(self.table, month, "new")
            )
            # With the constraint, attaching the table does not scan its rows.
            condition = (
                f"{quote(self.table.event_time_column)} IS NOT NULL AND {self._month_condition(month)}"
            )
            self.session.execute(
                f"CREATE TABLE {name} (LIKE {self.name}, CONSTRAINT month CHECK ({condition}))"
            )
        return self.new_tables[month], True

    def end(self) -> None:
        """Do nothing: the partitions' statistics are collected with the table's, after the commit."""

    def complete(self) -> None:
        for name in self.new_tables.values():
            self.session.execute(f"ANALYZE {name}")
        super().complete()

    def swap(self) -> None:
        """Replace the existing partitions of the scope by the new ones, waiting for readers."""
        assert self.scope is not UNPARTITIONED
        lock_out_readers(self.session, self.name)
        existing = self.session.catalog.list_partitions(self.schema, self.table)
        for month in self.scope:
            name = partition_name(self.table, month)
            if name in existing:
                self.session.execute(f"DROP TABLE {qualified_name(self.schema, name)}")
            if month in self.new_tables:
                self._attach(month, name)
        self.session.swapped.add(self.name)

    def _attach(self, month: Month, name: str) -> None:
        bounds = MonthRange(month, month)
        own = qualified_name(self.schema, name)
        for statement in (
            f"ALTER TABLE {self.new_tables[month]} RENAME TO {quote(name)}",
            f"ALTER TABLE {self.name} ATTACH PARTITION {own}"
            f" FOR VALUES FROM ('{bounds.start}') TO ('{bounds.end}')",
            f"ALTER TABLE {own} DROP CONSTRAINT month",
        ):
            self.session.execute(statement)


def open_partition_target(
    session: PostgresSession, schema: str, table: Table, scope: LoadScope
) -> PartitionTarget:
    """Return the target of the rows that a load produces for the table."""
    kind = NewPartitionsTarget if has_native_partitions(table) else InPlaceTarget
    return kind(session, schema, table, scope)


class TableFill:
    """The indexes of a table that is filled: those of an empty table are dropped before and built after, which is faster.

    A table with rows keeps them: dropping would wait for its readers, and block new ones until the commit.
    """

    def __init__(self, session: PostgresSession, schema: str, table: Table) -> None:
        self.session, self.schema, self.table = session, schema, table
        self.name = qualified(schema, table)
        self.was_empty = False

    def begin(self) -> None:
        """Drop the indexes if the table is empty."""
        [(size,)] = self.session.rows("SELECT pg_relation_size(to_regclass(%s))", [self.name])
        self.was_empty = not size
        if self.was_empty:
            self._drop_indexes()

    def finish(self) -> None:
        """Build the dropped indexes, or update those of a table that had rows."""
        if self.was_empty:
            # If there are duplicate keys, the blocking check reports them.
            self.session.execute_unless_duplicate(
                *self.session.catalog.missing_helpers(self.schema, self.table)
            )
            self.session.execute(f"ANALYZE {self.name}")
        elif needs_brin(self.table):
            self._complete_brin()

    def _drop_indexes(self) -> None:
        catalog = self.session.catalog
        key = catalog.find_key(self.schema, self.table)
        if key is not None:
            self.session.execute(f"ALTER TABLE {self.name} DROP CONSTRAINT {key.name}")
        brin = catalog.find_brin(self.schema, self.table) if needs_brin(self.table) else None
        if brin is not None:
            self.session.execute(f"DROP INDEX {brin}")

    def _complete_brin(self) -> None:
        """Summarize all pages, as every search reads the others; rebuild an index that was dropped."""
        brin = self.session.catalog.find_brin(self.schema, self.table)
        if brin is None:
            self.session.execute(create_brin_sql(self.schema, self.table))
        else:
            self.session.rows("SELECT brin_summarize_new_values(%s::regclass)", [brin])


def lock_out_readers(session: PostgresSession, name: str) -> None:
    """Lock a table for the rest of the transaction; while it waits, others may read in between."""
    import psycopg2

    deadline = time.monotonic() + session.limits.lock_timeout
    while True:
        session.execute("SAVEPOINT readers")
        session.execute(
            f"SET LOCAL lock_timeout = '{LOCK_ATTEMPT_SECONDS:g}s'; SET LOCAL statement_timeout = 0"
        )
        try:
            session.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        except psycopg2.errors.LockNotAvailable:
            session.execute("ROLLBACK TO SAVEPOINT readers")
            session.execute("RELEASE SAVEPOINT readers")
            if time.monotonic() >= deadline:
                raise read_timeout_error(name, session.limits) from None
            session.jobs.notify(f"waiting for queries that read {name}")
            time.sleep(LOCK_PAUSE_SECONDS)
            continue
        # The lock stays. Inside a savepoint, COPY could not freeze the rows of tables that were created before.
        session.execute("RELEASE SAVEPOINT readers")
        session_settings.apply(session.con, session_settings.timeouts(session.limits))
        return
