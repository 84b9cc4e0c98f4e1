"""A session on a DuckDB file, and its catalog.

How a star's tables are filled is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.storage.temporary_folder import temporary_folder
from scx_pipeline.warehouse.catalog import Catalog, Relation, group_columns
from scx_pipeline.warehouse.duckdb.duckdb_connection import CAPABILITIES, TABLE_SQL, DuckDBTransaction
from scx_pipeline.warehouse.duckdb.duckdb_maintenance import DuckDBMaintenance
from scx_pipeline.warehouse.duckdb.duckdb_tables import DuckDBTables
from scx_pipeline.warehouse.duckdb.key_bitmap import is_key_unique
from scx_pipeline.warehouse.duckdb.parquet_export import write_parquet
from scx_pipeline.warehouse.parquet_files import Unload
from scx_pipeline.warehouse.query_session import QuerySession
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import (
    latest_per_key,
    names,
    qualified,
    qualified_name,
    quote,
    string_literal,
)

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


class DuckDBSession(Session):
    """A connection to a DuckDB file."""

    capabilities = CAPABILITIES
    table_sql = TABLE_SQL
    tables: DuckDBTables

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.transaction = DuckDBTransaction(con)
        self.catalog = DuckDBCatalog(self)
        self.tables = DuckDBTables(self, self.transaction)
        self.maintenance = DuckDBMaintenance(self)

    def begin(self) -> None:
        self.transaction.begin()

    def atomic(self) -> AbstractContextManager[None]:
        return self.transaction.atomic()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        result = self.con.execute(sql, parameters).fetchone()
        return int(result[0]) if result and isinstance(result[0], int) else -1

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.con.execute(sql, parameters).fetchall()

    def read_frame(self, sql: str) -> pd.DataFrame:
        return self.con.execute(sql).df()

    def copy_rows(self, scratch: QuerySession, name: str, columns: Sequence[Column]) -> None:
        if scratch is not self and isinstance(scratch, DuckDBSession):
            # Through a file, as importing pyarrow for its readers would take longer than a few rows.
            with temporary_folder() as folder:
                file = string_literal(str(folder / "rows.parquet"))
                scratch.execute(f"COPY {name} TO {file} (FORMAT parquet)")
                self.create_temporary(name, f"SELECT * FROM read_parquet({file})")

    def unload(self, unload: Unload) -> int:
        return write_parquet(self.con, unload.select, unload)

    def select_latest(self, select: str, keys: Sequence[str], newest_first: Sequence[str]) -> str:
        first, *others = newest_first
        listed = [*dict.fromkeys([*map(quote, keys), *others])]
        grouped = ", ".join(listed)
        if (
            len(others) < 2
            and first not in listed
            and not self._has_double(f"SELECT {grouped} FROM ({select}) AS q")
        ):
            # The largest first term of each combination of the other columns: a third of the time, as it is one scan, and few
            # rows are left to number. Not of doubles, as 0.0 and -0.0 would be one combination.
            largest = f"SELECT {grouped}, MAX({first}) AS {first} FROM ({select}) AS q GROUP BY {grouped}"
            return latest_per_key(largest, keys, newest_first)
        # The first two terms as a row() that is looked up by hash: a quarter of the join's time here. NULL would be the
        # largest inside a row(), hence the flags.
        latest = ", ".join(f"{term} IS NOT NULL, {term}" for term in newest_first[:2])
        newest = f"SELECT ({names(keys)}, max(row({latest}))) FROM ({select}) AS q GROUP BY {names(keys)}"
        candidates = f"SELECT * FROM ({select}) AS q WHERE ({names(keys)}, row({latest})) IN ({newest})"
        return latest_per_key(candidates, keys, newest_first)

    def _has_double(self, select: str) -> bool:
        return any(kind in ("DOUBLE", "FLOAT") for _, kind, *_ in self.rows(f"DESCRIBE {select}"))

    def _insert_many(self, table: str, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        import pyarrow as pa

        listed = [column.name for column in columns]
        values = {name: pa.array(items) for name, items in zip(listed, zip(*rows, strict=True), strict=True)}
        self.con.register("_many", pa.table(values))
        self.con.execute(f"INSERT INTO {table} ({names(listed)}) SELECT {names(listed)} FROM _many")
        self.con.unregister("_many")

    def row_hash(self, columns: Sequence[Column]) -> str:
        return f"hash({names([column.name for column in columns])})"

    def has_verified_key(self, schema: str, table: Table) -> bool:
        return is_key_unique(self.con, qualified(schema, table), [table.column(name) for name in table.key])


class DuckDBCatalog(Catalog):
    """The catalog of a DuckDB file; names match in any case of letters."""

    session: DuckDBSession

    def list_columns(self, schema: str, tables: Collection[str]) -> dict[str, list[tuple[str, str]]]:
        # Without a join or ORDER BY, which need more memory than a small limit has.
        found = self.session.rows(
            "SELECT table_name, column_index, column_name, data_type FROM duckdb_columns()"
            " WHERE database_name = current_database() AND lower(schema_name) = lower(?) AND list_contains(?, table_name)",
            [schema, list(tables)],
        )
        return group_columns((table, name, kind) for table, _, name, kind in sorted(found))

    def find_relations(self, schema: str, names: Collection[str]) -> dict[str, Relation]:
        wanted = {name.lower(): name for name in names}
        relations: dict[str, Relation] = {}
        for kind in ("table", "view"):
            found = self.session.rows(
                f"SELECT {kind}_name FROM duckdb_{kind}s() WHERE database_name = current_database()"
                f" AND lower(schema_name) = lower(?) AND list_contains(?, lower({kind}_name)) AND NOT internal",
                [schema, list(wanted)],
            )
            columns = self.list_columns(schema, [name for (name,) in found]) if found else {}
            for (name,) in found:
                relations[wanted[name.lower()]] = Relation(kind, "", tuple(columns.get(name, ())))
        return relations

    def has_table(self, schema: str, table: str) -> bool:
        if self.session.transaction.is_open:  # which a failed statement would abort
            return super().has_table(schema, table)
        import duckdb

        # A query would create the catalog's views first, which takes as long as opening the file.
        try:
            self.session.con.execute(f"DESCRIBE {qualified_name(schema, table)}")
        except duckdb.CatalogException:
            return False
        return True
