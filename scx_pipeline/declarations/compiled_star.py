"""A star with its compiled SQL: the order of its tables, their SELECTs per engine, lineage, types and code versions.

Running the SQL does not belong here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scx_pipeline.declarations.added_rows import AddedRows, added_rows
from scx_pipeline.declarations.lineage import neutral_type_of, star_tables, trace_lineage
from scx_pipeline.declarations.sql_file import AUTHORED_DIALECT, SqlFile, read_sql_file
from scx_pipeline.declarations.sql_validation import check_chart, check_inputs, compile_select
from scx_pipeline.declarations.transpiling import generate_sql
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.query import Query
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.capabilities import Capabilities
from scx_pipeline.warehouse.sql_text import qualified

if TYPE_CHECKING:
    from sqlglot import exp

# Properties of a table that do not decide its rows, only how they are checked, described or stored.
_NOT_CODE = {
    "description", "source", "sources", "columns", "equal_row_count", "min_rows", "dist", "sort", "partition_by",
}  # fmt: skip
# Properties of a column that decide its values.
_COLUMN_CODE = {"name", "type", "nullable", "field", "unit", "date_format", "timestamp_format"}
# Properties of a source that do not decide what is read.
_NOT_ROWS = {"description", "reject_limit", "warn_above", "region", "endpoint", "anonymous", "deps"}
# Properties that decide neither rows nor checks.
_NOT_RULES = {
    "description", "title", "owners", "queries", "dist", "sort", "partition_by", "schedule", "tags", "op_tags", "deps",
}  # fmt: skip


@dataclass(frozen=True)
class CompiledStar:
    """A star whose SQL is checked: every name resolves, every declared column is returned, and there is no cycle."""

    star: Star
    folder: Path
    tables: Mapping[str, SqlFile]
    queries: Mapping[str, SqlFile]
    # Names that tables have in the warehouse while they are rebuilt, by table.
    stored_names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def build_order(self) -> list[Table]:
        """The derived tables, each after its inputs; partitioned tables first, otherwise as declared.

        Keyed and unpartitioned tables are merged into those in the warehouse, which may still be busy copying the
        partitioned ones.
        """
        tables = [table.name for table in self.star.tables]
        sorter = TopologicalSorter({table.name: self.inputs_of(table) for table in self.star.derived_tables})
        try:
            sorter.prepare()
        except CycleError as error:
            raise DeclarationError(
                f"{self.folder}: the SQL files read each other in a cycle: {' → '.join(error.args[1])}"
            ) from None
        order: list[Table] = []
        ready: list[str] = []
        while sorter.is_active():
            ready += sorter.get_ready()
            ready.sort(key=lambda name: (not self.star.table(name).is_partitioned, tables.index(name)))
            order.append(self.star.table(ready.pop(0)))
            sorter.done(order[-1].name)
        return [table for table in order if table.role != "staging"]

    def inputs_of(self, table: Table) -> set[str]:
        """Return the names of the star's tables that a derived table's SQL reads."""
        return set(self._inputs[table.name])

    def in_schema(self, name: str) -> CompiledStar:
        """Return the star in another schema; the star itself, with its cached results, if that is its own schema."""
        if name == self.star.schema_name:
            return self
        return replace(self, star=self.star.model_copy(update={"schema_name": name}))

    def with_stored_names(self, names: Mapping[str, str]) -> CompiledStar:
        """Return the star while some of its tables are rebuilt under other names; the star itself if none is."""
        return replace(self, stored_names=names) if names else self

    def stored_table(self, table: Table) -> Table:
        """Return the table under the name that it currently has in the warehouse."""
        name = self.stored_names.get(table.name)
        return table.model_copy(update={"name": name}) if name else table

    def full_name(self, table: Table) -> str:
        """Return the qualified name that the table currently has in the warehouse."""
        return qualified(self.star.schema_name, self.stored_table(table))

    def derived_from(self, table: Table) -> list[Table]:
        """Return the tables whose SQL reads this table."""
        return [other for other in self.star.derived_tables if table.name in self.inputs_of(other)]

    def can_derive_from_batches(self, table: Table) -> bool:
        """Return whether a load can pass on the rows of a staging table without keeping them.

        It has no key, so no table references it, and no reference, and what is derived from it are SCD type 1 tables, of
        which the latest rows of each batch are enough.
        """
        return not (
            table.key
            or any(column.references for column in table.columns)
            or any(
                self.inputs_of(other) != {table.name} or self.added_rows(other) is not AddedRows.LATEST
                for other in self.derived_from(table)
            )
        )

    def downstream(self, names: set[str]) -> set[str]:
        """Return these tables and all that are built from them, directly or not."""
        reached = set(names)
        for table in self.build_order:
            if self.inputs_of(table) & reached:
                reached.add(table.name)
        return reached

    def unpartitioned_dependents(self) -> list[Table]:
        """Return the partitioned tables that read unpartitioned tables: their rows change when those do."""
        unpartitioned = {table.name for table in self.star.unpartitioned_tables}
        return [
            table
            for table in self.build_order
            if table.is_partitioned and self.inputs_of(table) & unpartitioned
        ]

    def select_sql(self, table: Table, scope: LoadScope, engine: Capabilities) -> str:
        """Return the table's SELECT in an engine's dialect, its partitioned inputs restricted to the scope's months."""
        cache_key = (table.name, scope, engine.dialect, engine.collation)
        if cache_key not in self._generated:
            select = self._selects[table.name]
            self._generated[cache_key] = generate_sql(select, self.star, self.stored_table, engine, scope)
        return self._generated[cache_key]

    def added_rows(self, table: Table) -> AddedRows:
        """Return how a derived monthly table follows from rows that are added to its input."""
        return added_rows(self._selects[table.name], self.star, table)

    def select_added_sql(
        self, table: Table, scope: LoadScope, engine: Capabilities, relations: Mapping[str, str]
    ) -> str:
        """Return the table's SELECT as `select_sql` does, with other relations in place of some of the star's tables."""
        select = self._selects[table.name]
        return generate_sql(select, self.star, self.stored_table, engine, scope, relations)

    def query_sql(self, query: Query, engine: Capabilities) -> str:
        """Return an analysts' query in an engine's dialect, or unchanged if it is declared `as_written`."""
        if query.as_written:
            return self.queries[query.name].text
        return generate_sql(self._queries[query.name], self.star, self.stored_table, engine, UNPARTITIONED)

    def output_types(self, table: Table) -> dict[str, str]:
        """Return the neutral types of what the table's SELECT returns: its columns, and what orders its rows.

        A type is the declared one, that of the column of another table which is passed through, or the expression's.
        """
        return self._output_types[table.name]

    def _output_type(self, item: exp.Expr, table: Table) -> str:
        from sqlglot import exp

        if item.alias_or_name in table.column_names:
            return table.column(item.alias_or_name).type
        expression = item.unalias()
        if isinstance(expression, exp.Column):
            sources = self._lineages[table.name][item.alias_or_name]
            if len(sources) == 1:
                return self.star.table(sources[0][0]).column(sources[0][1]).type
        return neutral_type_of(expression)

    def lineage(self, table: Table) -> dict[str, list[tuple[str, str]]]:
        """Return the (table, column) pairs that each declared column is computed from."""
        lineage = self._lineages[table.name]
        return {column.name: lineage[column.name] for column in table.columns}

    def code_version(self, table: Table) -> str:
        """Return a hash of what decides the table's rows: its SQL and declaration, without what is only checked."""
        code = table.model_dump(mode="json", exclude=_NOT_CODE)
        code["columns"] = [column.model_dump(mode="json", include=_COLUMN_CODE) for column in table.columns]
        if table.role == "staging":
            code["sources"] = [
                source.model_dump(mode="json", exclude=_NOT_ROWS) for source in self.star.sources_of(table)
            ]
        else:
            code["sql"] = self._selects[table.name].sql(dialect=AUTHORED_DIALECT, comments=False)
        return _hash(json.dumps(code, sort_keys=True))

    @cached_property
    def version(self) -> str:
        """A hash of the code of all tables that are loaded by month."""
        return self._version_of(self.star.monthly_tables)

    @cached_property
    def declaration_version(self) -> str:
        """A hash of what decides the verdicts of the star's checks."""
        return _hash(json.dumps(_rules(self.star.model_dump(mode="json")), sort_keys=True))

    @cached_property
    def unpartitioned_version(self) -> str:
        """A hash of the code of all unpartitioned tables."""
        return self._version_of(self.star.unpartitioned_tables)

    def _version_of(self, tables: Sequence[Table]) -> str:
        return _hash(f"{self.star.first_month}{''.join(self.code_version(table) for table in tables)}")

    @cached_property
    def _selects(self) -> dict[str, exp.Query]:
        return {
            table.name: compile_select(self.tables[table.name], self.star, table)
            for table in self.star.derived_tables
        }

    @cached_property
    def _generated(self) -> dict[tuple[str, LoadScope, str, str], str]:
        """The results of `select_sql` so far, for loads of the same months."""
        return {}

    @cached_property
    def _inputs(self) -> dict[str, set[str]]:
        return {
            name: {node.name for node in star_tables(select, self.star)}
            for name, select in self._selects.items()
        }

    @cached_property
    def _output_types(self) -> dict[str, dict[str, str]]:
        return {
            name: {
                str(item.alias_or_name): self._output_type(item, self.star.table(name))
                for item in select.selects
            }
            for name, select in self._selects.items()
        }

    @cached_property
    def _lineages(self) -> dict[str, dict[str, list[tuple[str, str]]]]:
        return {name: trace_lineage(select, self.star) for name, select in self._selects.items()}

    @cached_property
    def _queries(self) -> dict[str, exp.Query]:
        return {
            query.name: compile_select(self.queries[query.name], self.star)
            for query in self.star.queries
            if not query.as_written
        }


def compile_star(star: Star, folder: Path) -> CompiledStar:
    """Read and check the star's SQL files, `sql/<table>.sql` and `queries/<query>.sql`.

    Raises:
        DeclarationError: With file and line, for a missing file, an unknown table or column, a declared column that the
            SELECT does not return, and SQL that does not mean the same on every engine.
    """
    tables = {table.name: read_sql_file(sql_path(folder, table.name)) for table in star.derived_tables}
    queries = {query.name: read_sql_file(folder / "queries" / f"{query.name}.sql") for query in star.queries}
    compiled = CompiledStar(star, folder, tables, queries)
    for table in star.derived_tables:
        inputs = [star.table(name) for name in sorted(compiled.inputs_of(table))]
        check_inputs(tables[table.name], table, inputs)
    # Computing the order rejects cycles.
    assert compiled.build_order is not None
    for query in star.queries:
        if query.name in compiled._queries:
            check_chart(compiled._queries[query.name], queries[query.name], query)
    return compiled


def sql_path(folder: Path, table: str) -> Path:
    """Return the path of a table's SQL file in its star's folder."""
    return folder / "sql" / f"{table}.sql"


def _rules(declared: Any) -> Any:
    """Return a declaration without the parts that only describe the star, query it, or lay out its tables."""
    if isinstance(declared, dict):
        return {key: _rules(value) for key, value in declared.items() if key not in _NOT_RULES}
    return [_rules(item) for item in declared] if isinstance(declared, list) else declared


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
