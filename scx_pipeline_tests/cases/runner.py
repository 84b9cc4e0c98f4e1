"""The runner of SQL cases: rows are inserted into a warehouse, the table is published, and its rows are compared.

Which cases exist does not belong here.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import yaml

from scx_pipeline.declarations import latest_rows
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.targets import prepare, publish
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.warehouse.session import Session
from scx_pipeline.warehouse.sql_text import STATE_SCHEMA, names, qualified
from scx_pipeline.warehouse.warehouse import Warehouse

Row = Mapping[str, Any]
Values = tuple[Hashable, ...]

# The Python types of YAML values by column type; a text that looks like a number or a date must be quoted.
_READ_AS: Mapping[str, tuple[type, ...]] = {
    "varchar": (str,),
    "decimal": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (datetime, date),
    "date": (date,),
}
_FILLERS: Mapping[str, Hashable] = {
    "varchar": "",
    "boolean": False,
    "date": date(1970, 1, 1),
    "timestamp": datetime(1970, 1, 1),
}


class CaseError(AssertionError):
    """A case is invalid, or the rows are not the expected ones; the message names file and case."""


@dataclass(frozen=True)
class Case:
    """The rows of the tables that a table's SQL reads, and the rows that it must return."""

    path: Path
    name: str
    given: Mapping[str, Sequence[Row]]
    expect: Sequence[Row]

    @property
    def table(self) -> str:
        return self.path.stem

    def error(self, what: str) -> CaseError:
        return CaseError(f"{'/'.join(self.path.parts[-3:])}: {self.name}: {what}")


def read_cases(path: Path) -> list[Case]:
    """Read the cases of a file; their content is checked when they run. Raises CaseError for an invalid file."""
    try:
        document = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise CaseError(f"{path}: {error}") from None
    cases = []
    for name, facts in (document or {}).items():
        if not _is_case(facts):
            raise CaseError(
                f"{path}: {name}: a case is `given:` with the rows of tables, and `expect:` with rows"
            )
        cases.append(Case(path, str(name), facts["given"], facts["expect"]))
    return cases


def _is_case(facts: Any) -> bool:
    if (
        not isinstance(facts, dict)
        or set(facts) != {"given", "expect"}
        or not isinstance(facts["given"], dict)
    ):
        return False
    lists = [*facts["given"].values(), facts["expect"]]
    return all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists)


def run_case(case: Case, compiled: CompiledStar, warehouse: Warehouse) -> None:
    """Publish the table from the given rows and compare. Raises CaseError unless the result is exactly the expected rows.

    Rows of several months are published at once, month by month and backwards, each time into an empty table; and all
    at once a second time, which must change nothing. An unpartitioned table is built twice, and the second time no
    row may be written.
    """
    table = _table(case, compiled)
    given = {
        compiled.star.table(name): _values(case, compiled.star.table(name), rows)
        for name, rows in case.given.items()
    }
    columns, expected = _expected(case, table)
    _fill(warehouse, compiled, given)
    for order, scopes in _publish_orders(compiled, table, given).items():
        if order != "a second time":
            _empty(warehouse, compiled, table)
        for scope in scopes:
            with warehouse.transaction(compiled.star.name) as session:
                session.begin()
                written = publish.publish_table(session, compiled, table, scope)
                if written and order == "a second time":
                    raise case.error(f"{written} rows written when it was published {order}")
        found = _read_rows(warehouse, compiled, table, columns)
        _compare(case, f"published {order} on {warehouse.capabilities.name}", columns, expected, found)


def _table(case: Case, compiled: CompiledStar) -> Table:
    """Return the case's table, and check that its SQL reads all tables that the case names."""
    derived = [table.name for table in compiled.star.derived_tables]
    if case.table not in derived:
        raise case.error(f"{case.table!r} is not a derived table{_nearest(case.table, derived)}")
    table = compiled.star.table(case.table)
    reads = sorted(compiled.inputs_of(table))
    for name in case.given:
        if name not in reads:
            raise case.error(f"given: {case.table} does not read {name!r}{_nearest(name, reads)}")
    return table


def _values(case: Case, table: Table, rows: Sequence[Row]) -> list[Values]:
    """Return the values of all columns, with defaults for those that a row does not name."""
    for number, row in enumerate(rows, start=1):
        where = f"given: {table.name}, row {number}"
        _check_row(case, table, row, where)
        for name in dict.fromkeys((*table.key, *([table.event_time_column] if table.is_partitioned else []))):
            if row.get(name) is None:
                raise case.error(f"{where}: must have a value of {name}")
    return [
        tuple(_value(column, row.get(column.name), fill=True) for column in table.columns) for row in rows
    ]


def _expected(case: Case, table: Table) -> tuple[tuple[str, ...], list[Values]]:
    """Return the columns that the expected rows name, and their values."""
    columns = tuple(case.expect[0]) if case.expect else table.column_names
    for number, row in enumerate(case.expect, start=1):
        _check_row(case, table, row, f"expect: row {number}")
        if set(row) != set(columns):
            raise case.error(
                f"expect: row {number} names other columns than row 1: {', '.join(sorted(set(row) ^ set(columns)))}"
            )
    return columns, [tuple(_value(table.column(name), row[name]) for name in columns) for row in case.expect]


def _check_row(case: Case, table: Table, row: Row, where: str) -> None:
    for name, value in row.items():
        if name not in table.column_names:
            raise case.error(
                f"{where}: {table.name} has no column {name!r}{_nearest(name, table.column_names)}"
            )
        column = table.column(name)
        wanted = _READ_AS.get(_kind(column), (int,))
        if value is not None and (
            not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)
        ):
            hint = ": quote it" if wanted == (str,) else ""
            raise case.error(
                f"{where}: {name} is {column.type}, but {value!r} is of type {type(value).__name__}{hint}"
            )


def _value(column: Column, value: Any, fill: bool = False) -> Hashable:
    if value is None:
        return _FILLERS.get(_kind(column), 0) if fill and not column.nullable else None
    if _kind(column) == "timestamp" and not isinstance(value, datetime):
        return datetime.combine(value, time())
    found: Hashable = value
    return found


def _kind(column: Column) -> str:
    return column.type.partition("(")[0]


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; it may be: {', '.join(known)}"


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


def _compare(
    case: Case, how: str, columns: Sequence[str], expected: list[Values], found: list[Values]
) -> None:
    missing, unexpected = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    if missing or unexpected:
        lines = [
            f"  {what} {row}"
            for what, rows in (("expected", missing), ("but found", unexpected))
            for row in _shown(columns, rows)
        ]
        raise case.error("\n".join([how, *lines]))


def _shown(columns: Sequence[str], rows: Counter[Values]) -> Iterator[str]:
    for row in rows.elements():
        yield ", ".join(
            f"{name}: {value if isinstance(value, datetime) else repr(value)}"
            for name, value in zip(columns, row, strict=True)
        )


class _Loader(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys instead of silently using the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is a duplicate key", node.value[number][0].start_mark
                )
        return super().construct_mapping(node, deep)
