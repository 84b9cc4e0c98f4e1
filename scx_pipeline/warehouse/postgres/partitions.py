"""Where the rows of a load go in PostgreSQL: over the slice that stands, or into new months that take its place.
Which rows they are and how they are copied is in `postgres`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from scx_pipeline.errors import WarehouseBusyError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.postgres import session_settings
from scx_pipeline.warehouse.sql_text import in_month_range, in_scope, qualified, quote

if TYPE_CHECKING:
    from scx_pipeline.warehouse.postgres.postgres_warehouse import PostgresSession

POLITE = 2.0  # seconds for which a load that waits for readers keeps new ones waiting
PAUSE = 0.5  # seconds after which it tries again


def by_partition(table: Table) -> bool:
    """Whether each month of the table is a partition of its own: a key would have to contain the event time for it."""
    return table.partitioned and not table.key


def open_partition_target(
    session: PostgresSession, schema: str, table: Table, scope: LoadScope
) -> PartitionTarget:
    """What takes the rows that a load makes of the table."""
    return (NewPartitionsTarget if by_partition(table) else InPlaceTarget)(session, schema, table, scope)


class PartitionTarget(ABC):
    """Takes the rows of a load: `begin`, then rows into what `target` names, `end`, and `swap` makes the slice theirs.

    `stand` is both, for rows that the transaction reads afterwards.
    """

    by_month: bool  # whether rows of each month go into another table

    def __init__(self, session: PostgresSession, schema: str, table: Table, scope: LoadScope) -> None:
        self.session, self.schema, self.table, self.scope = session, schema, table, scope
        self.name, self.in_scope = qualified(schema, table), in_scope(table, scope)

    @abstractmethod
    def begin(self) -> None:
        """Make room."""

    @abstractmethod
    def parts(self, months: Iterable[Month]) -> list[tuple[Month | None, str]]:
        """How rows of these months are told apart before they are copied: the `target`, and the condition of a row."""

    @abstractmethod
    def target(self, month: Month | None) -> tuple[str, bool]:
        """The table that takes the rows of a part, and whether it is new, and so nobody's before the commit."""

    @abstractmethod
    def end(self) -> None:
        """All rows were taken."""

    @abstractmethod
    def swap(self) -> None:
        """Whoever reads the table in this transaction sees the new rows from here on."""

    def stand(self) -> None:
        """All rows were taken, and what is made from them may read them here."""
        self.end()
        self.swap()


class InPlaceTarget(PartitionTarget):
    """Rows take the place of deleted ones in the table itself."""

    by_month = False

    def begin(self) -> None:
        self.session.execute(f"DELETE FROM {self.name} WHERE {self.in_scope}")
        self.filling = self.session.filling(self.schema, self.table)
        self.filling.__enter__()

    def parts(self, months: Iterable[Month]) -> list[tuple[Month | None, str]]:
        return [(None, self.in_scope)]

    def target(self, month: Month | None) -> tuple[str, bool]:
        return self.name, self.name in self.session.created

    def end(self) -> None:
        self.filling.__exit__(None, None, None)

    def swap(self) -> None:
        """They stand there already."""


class NewPartitionsTarget(PartitionTarget):
    """Each month is made as a table beside the one it will be a partition of: nothing is deleted row by row, no index
    finds a month, and readers see the old one until `swap`, which takes a moment at the end.
    """

    by_month = True

    def begin(self) -> None:
        assert self.scope is not UNPARTITIONED
        self.made: dict[Month, str] = {}

    def parts(self, months: Iterable[Month]) -> list[tuple[Month | None, str]]:
        return [
            (month, in_month_range(self.table.event_time_column, MonthRange(month, month)))
            for month in sorted(months)
        ]

    def target(self, month: Month | None) -> tuple[str, bool]:
        assert month is not None
        if month not in self.made:
            self.made[month] = name = (
                f"{quote(self.schema)}.{quote(partition_name(self.table, month, 'new'))}"
            )
            # With the condition, attaching it needs no look at its rows.
            condition = f"{quote(self.table.event_time_column)} IS NOT NULL AND {in_month_range(self.table.event_time_column, MonthRange(month, month))}"
            self.session.execute(
                f"CREATE TABLE {name} (LIKE {self.name}, CONSTRAINT month CHECK ({condition}))"
            )
        return self.made[month], True

    def end(self) -> None:
        """Nothing is left to do: with the table's statistics, after the commit, theirs are made."""

    def stand(self) -> None:
        for name in self.made.values():
            self.session.execute(f"ANALYZE {name}")
        super().stand()

    def swap(self) -> None:
        """Put the months in the place of those of the span that stand; whoever reads them then is waited for."""
        assert self.scope is not UNPARTITIONED
        lock_out_readers(self.session, self.name)
        standing = {name for (name,) in self.session.rows(_PARTITIONS, [self.name, self.schema])}
        for month in self.scope:
            name = partition_name(self.table, month)
            if name in standing:
                self.session.execute(f"DROP TABLE {quote(self.schema)}.{quote(name)}")
            if month in self.made:
                self._attach(month, name)
        self.session.swapped.add(self.name)

    def _attach(self, month: Month, name: str) -> None:
        bounds = MonthRange(month, month)
        own = f"{quote(self.schema)}.{quote(name)}"
        for statement in (
            f"ALTER TABLE {self.made[month]} RENAME TO {quote(name)}",
            f"ALTER TABLE {self.name} ATTACH PARTITION {own}"
            f" FOR VALUES FROM ('{bounds.start}') TO ('{bounds.end}')",
            f"ALTER TABLE {own} DROP CONSTRAINT month",
        ):
            self.session.execute(statement)


def lock_out_readers(session: PostgresSession, name: str) -> None:
    """Take a table for the rest of the transaction. While it waits, others may read in between."""
    import psycopg2

    limit = session.limits.lock_timeout
    deadline = time.monotonic() + limit
    while True:
        session.execute("SAVEPOINT readers")
        session.execute(f"SET LOCAL lock_timeout = '{POLITE:g}s'; SET LOCAL statement_timeout = 0")
        try:
            session.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        except psycopg2.errors.LockNotAvailable:
            session.execute("ROLLBACK TO SAVEPOINT readers")
            if time.monotonic() >= deadline:
                raise WarehouseBusyError(
                    f"{name} is being read by a query that does not end; waited {limit:g} s (SCX_LOCK_TIMEOUT): "
                    "wait for it, or end it; nothing was changed"
                ) from None
            session.jobs.notify(f"waiting for queries that read {name}")
            time.sleep(PAUSE)
            continue
        session_settings.apply(session.con, session_settings.timeouts(session.limits))
        return


_PARTITIONS = (
    "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_namespace AS n"
    " ON n.oid = c.relnamespace WHERE i.inhparent = to_regclass(%s) AND n.nspname = %s"
)


def partition_names(table: Table, scope: MonthRange) -> list[str]:
    """The names that the months of a span have as partitions, and while they are made."""
    return [partition_name(table, month, *more) for month in scope for more in ((), ("new",))]


def partition_name(table: Table, month: Month, *more: str) -> str:
    """The name of a month's partition: as other names, no longer than PostgreSQL allows."""
    return "_".join((table.name, str(month).replace("-", "_"), *more))[-63:]
