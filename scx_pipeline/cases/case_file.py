"""The cases of a star, `cases/<table>.yaml`: rows that a table's SQL reads, and the rows that it must return.

Running a case does not belong here.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import DeclarationError
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table

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


class CaseError(DeclarationError):
    """A case of a star is invalid; the message names the file, the line and the case."""


@dataclass(frozen=True)
class Case:
    """The rows of the tables that a table's SQL reads, and the rows that it must return."""

    path: Path
    line: int
    name: str
    given: Mapping[str, Sequence[Row]]
    expect: Sequence[Row]

    @property
    def table(self) -> str:
        return self.path.stem

    def error(self, what: str) -> CaseError:
        return CaseError(f"{self.path}, line {self.line}: {self.name}: {what}")


def read_star_cases(compiled: CompiledStar) -> list[Case]:
    """Read the cases of a star. Raises CaseError for an invalid file."""
    return [case for path in sorted((compiled.folder / "cases").glob("*.yaml")) for case in read_cases(path)]


def read_cases(path: Path) -> list[Case]:
    """Read the cases of a file; their content is checked when they run. Raises CaseError for an invalid file."""
    try:
        text = path.read_text("utf-8")
        document, node = yaml.load(text, Loader=_Loader), yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CaseError(f"{path}, line {line}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(node, yaml.MappingNode):
        if node is None:
            return []
        raise CaseError(f"{path}, line 1: cases are declared by name")
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    cases = []
    for name, facts in document.items():
        line = lines.get(str(name), 1)
        if not _is_case(facts):
            raise CaseError(
                f"{path}, line {line}: {name}: a case is `given:` with the rows of tables, and `expect:` with rows"
            )
        cases.append(Case(path, line, str(name), facts["given"], facts["expect"]))
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


def case_table(case: Case, compiled: CompiledStar) -> Table:
    """Return the case's table. Raises CaseError unless its SQL reads all tables that the case names."""
    derived = [table.name for table in compiled.star.derived_tables]
    if case.table not in derived:
        raise case.error(f"{case.table!r} is not a derived table{_nearest(case.table, derived)}")
    table = compiled.star.table(case.table)
    reads = sorted(compiled.inputs_of(table))
    for name in case.given:
        if name not in reads:
            raise case.error(f"given: {case.table} does not read {name!r}{_nearest(name, reads)}")
    return table


def given_values(case: Case, table: Table, rows: Sequence[Row]) -> list[Values]:
    """Return the values of all columns, with defaults for those that a row does not name. Raises CaseError."""
    for number, row in enumerate(rows, start=1):
        where = f"given: {table.name}, row {number}"
        _check_row(case, table, row, where)
        for name in dict.fromkeys((*table.key, *([table.event_time_column] if table.is_partitioned else []))):
            if row.get(name) is None:
                raise case.error(f"{where}: must have a value of {name}")
    return [
        tuple(_value(column, row.get(column.name), fill=True) for column in table.columns) for row in rows
    ]


def expected_values(case: Case, table: Table) -> tuple[tuple[str, ...], list[Values]]:
    """Return the columns that the expected rows name, and their values. Raises CaseError."""
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
    if _kind(column) == "decimal":  # as the file writes it: a float is not exact
        return Decimal(str(value))
    found: Hashable = value
    return found


def _kind(column: Column) -> str:
    return column.type.partition("(")[0]


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; it may be: {', '.join(known)}"


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
