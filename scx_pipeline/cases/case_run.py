"""The runner of cases: rows are inserted into a warehouse, the table is published, and its rows are compared.

What a case is does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scx_pipeline.cases.case_file import (
    Case,
    Values,
    case_table,
    expected_values,
    given_values,
)
from scx_pipeline.declarations import latest_rows
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError, WarehouseError
from scx_pipeline.loading.targets import prepare, publish
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.table import Table
from scx_pipeline.ownership.inspection import inspect
from scx_pipeline.ownership.resets import reset
from scx_pipeline.ownership.table_records import declared_tables
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, names, qualified
from scx_pipeline.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class CaseResult:
    """How a case ended: passed, if there is no problem; the rows that differ have these columns."""

    case: Case
    problem: str = ""
    columns: Sequence[str] = ()
    missing: Sequence[Values] = ()
    unexpected: Sequence[Values] = ()

    @property
    def passed(self) -> bool:
        return not self.problem

    def as_json(self) -> dict[str, Any]:
        case = {"table": self.case.table, "case": self.case.name, "passed": self.passed}
        rows = {"columns": [*self.columns], "missing": [*self.missing], "unexpected": [*self.unexpected]}
        return {**case, "problem": self.problem, **rows}


def run_cases(cases: Sequence[Case], compiled: CompiledStar, warehouse: Warehouse) -> Iterator[CaseResult]:
    """Run cases of a star in a warehouse that has none of its tables, and remove the tables after each.

    Raises:
        WarehouseError: The warehouse has tables of the star.
    """
    _check_empty(compiled, warehouse)
    for case in cases:
        try:
            result = run_case(case, compiled, warehouse)
        except PipelineError as error:
            result = CaseResult(case, str(error).removeprefix(str(case.error(""))))
        reset(warehouse, compiled, [])
        yield result


def _check_empty(compiled: CompiledStar, warehouse: Warehouse) -> None:
    """Check that the warehouse has no table of the star: cases would change its rows. Raises WarehouseError."""
    with warehouse.open_read_only() as session:
        found = inspect(session, compiled).found if session else {}
    for schema, table, _ in declared_tables(compiled):
        if (schema, table.name) in found:
            raise WarehouseError(
                f"{warehouse.url} has a table {schema}.{table.name}: cases run only in a database without tables of "
                f"{compiled.star.name}, such as a new one"
            )


def run_case(case: Case, compiled: CompiledStar, warehouse: Warehouse) -> CaseResult:
    """Publish the table from the given rows, and compare the result with the expected rows.

    Rows of several months are published at once, month by month and backwards, each time into an empty table; and all
    at once a second time, which must change nothing. An unpartitioned table is built twice, and the second time no
    row may be written.

    Raises:
        CaseError: The case is invalid.
    """
    table = case_table(case, compiled)
    given = {
        compiled.star.table(name): given_values(case, compiled.star.table(name), rows)
        for name, rows in case.given.items()
    }
    columns, expected = expected_values(case, table)
    _fill(warehouse, compiled, given)
    for order, scopes in _publish_orders(compiled, table, given).items():
        if order != "a second time":
            _empty(warehouse, compiled, table)
        for scope in scopes:
            with warehouse.transaction(compiled.star.name) as session:
                session.begin()
                written = publish.publish_table(session, compiled, table, scope)
            if written and order == "a second time":
                return CaseResult(case, f"{written} rows written when it was published {order}")
        found = _read_rows(warehouse, compiled, table, columns)
        missing, unexpected = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
        if missing or unexpected:
            how = f"published {order} on {warehouse.capabilities.name}"
            return CaseResult(case, how, columns, [*missing.elements()], [*unexpected.elements()])
    return CaseResult(case)


def shown_rows(result: CaseResult) -> Iterator[tuple[str, ...]]:
    """Yield the rows that differ: what they are, and their values as in the file."""
    for what, rows in (("expected", result.missing), ("but found", result.unexpected)):
        for row in rows:
            yield (what, *(str(value) if isinstance(value, datetime) else repr(value) for value in row))


def _publish_orders(
    compiled: CompiledStar, published: Table, given: Mapping[Table, Sequence[Values]]
) -> dict[str, Sequence[LoadScope]]:
    """Return the orders in which to publish the months of the rows; an unpartitioned table is built twice."""
    if published.is_unpartitioned:
        return {"at once": [UNPARTITIONED], "a second time": [UNPARTITIONED]}
    months = sorted(
        {
            Month.of(row[table.column_names.index(table.event_time_column)])  # type: ignore[arg-type]
            for table, rows in given.items()
            if table.is_partitioned
            for row in rows
        }
    ) or [compiled.star.first_month]
    all_months = [MonthRange(months[0], months[-1])]
    orders: dict[str, Sequence[LoadScope]] = {"at once": all_months, "a second time": all_months}
    if len(months) > 1:
        single = [MonthRange(month, month) for month in months]
        orders |= {"month by month": single, "backwards": single[::-1]}
    return orders


def _fill(warehouse: Warehouse, compiled: CompiledStar, given: Mapping[Table, Sequence[Values]]) -> None:
    """Create the star's tables, and insert the given rows."""
    tables = [table.name for table in compiled.star.tables]
    with warehouse.transaction(compiled.star.name) as session:
        session.begin()
        prepare.prepare_tables(session, compiled, compiled.star.months(), tables)
        for table, rows in given.items():
            _insert(session, compiled, table, rows)


def _insert(session: Session, compiled: CompiledStar, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows into an empty table, which may have to create the partitions of their months."""
    schema = compiled.star.schema_name
    if not table.is_partitioned:
        session.insert_rows(qualified(schema, table), table.columns, rows)
        return
    session.execute(session.create_table_sql("_given", table.columns, "TEMPORARY "))
    session.insert_rows("_given", table.columns, rows)
    session.tables.replace_partition(schema, table, compiled.star.months(), "SELECT * FROM _given")
    session.drop_temporary("_given")


def _empty(warehouse: Warehouse, compiled: CompiledStar, table: Table) -> None:
    with warehouse.transaction(compiled.star.name) as session:
        session.begin()
        session.execute(f"DELETE FROM {qualified(compiled.star.schema_name, table)}")
        if not table.is_partitioned and not table.is_unpartitioned:
            session.execute(
                f"DELETE FROM {qualified(STATE_SCHEMA, latest_rows.latest_rows_table(compiled, table))}"
            )


def _read_rows(
    warehouse: Warehouse, compiled: CompiledStar, table: Table, columns: Sequence[str]
) -> list[Values]:
    with warehouse.open_read_only() as session:
        assert session is not None
        return session.rows(f"SELECT {names(columns)} FROM {qualified(compiled.star.schema_name, table)}")
