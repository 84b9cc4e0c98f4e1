"""Rewrite the texts of a dialect as the texts that every format has: 1.234,5 as 1234.5, 31.12.2021 as 2021-12-31.

A text that is not of the declared form is marked, so that it is not taken for another value. Casting and rejecting belong
to other modules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from scx_pipeline.model.column import Column
from scx_pipeline.model.dialect import NUMERIC_DIRECTIVES, TIME_DIRECTIVES, Dialect
from scx_pipeline.model.reserved_names import internal_column
from scx_pipeline.parsing.row_markers import Rule
from scx_pipeline.parsing.typed_rows import select_typed_rows
from scx_pipeline.parsing.value_rules import build_rules
from scx_pipeline.warehouse.sql_text import quote, string_literal

NUMBERS = ("smallint", "integer", "bigint", "double", "decimal")
NOT_DECLARED = "?"  # before a text that is not of the declared form: no value begins with it


class DialectTexts:
    """The texts of a table's columns in files of a dialect, and the rules for their values."""

    def __init__(self, columns: Sequence[Column], dialect: Dialect) -> None:
        self.columns, self.dialect = columns, dialect
        forms = {column.name: _declared_form(column, dialect) for column in columns}
        self.forms = {name: form for name, form in forms.items() if form}
        self.is_rewritten = dialect.trim or bool(self.forms)

    def select_typed(self, texts: str, others: str, null_values: Sequence[str]) -> str:
        """Return the SELECT of typed rows from a relation of texts, as `select_typed_rows` does."""
        if not self.is_rewritten:
            return select_typed_rows(texts, self.columns, others, null_values)
        listed = ", ".join([others, *self.written.values()])
        return select_typed_rows(self._rewrite(texts, others, null_values), self.columns, listed)

    @property
    def rules(self) -> list[Rule]:
        """The rules for typed rows; their reasons say how a value should be written, where the dialect declares it."""
        return [
            (
                broken,
                name,
                f"{reason} {self.forms[name]}"
                if name in self.forms and reason.startswith("is not a")
                else reason,
            )
            for broken, name, reason in build_rules(self.columns)
        ]

    @property
    def written(self) -> dict[str, str]:
        """The columns of typed rows with the texts as the file has them, by name; empty if no text is rewritten."""
        if not self.is_rewritten:
            return {}
        return {column.name: internal_column("written", column.name) for column in self.columns}

    def _rewrite(self, texts: str, others: str, null_values: Sequence[str]) -> str:
        cleaned = ", ".join(_clean(column, self.dialect, null_values) for column in self.columns)
        items = []
        for column in self.columns:
            name = quote(column.name)
            items.append(f"{_rewrite(column, self.dialect) if column.name in self.forms else name} AS {name}")
            items.append(f"{name} AS {self.written[column.name]}")
        return f"(SELECT {', '.join(items)}, {others} FROM (SELECT {cleaned}, {others} FROM {texts}))"


def _declared_form(column: Column, dialect: Dialect) -> str:
    """Return how a column's values are written, as a message says it; empty for the usual forms."""
    if form := _time_format(column, dialect):
        return f"of the form {form}"
    if column.type == "boolean" and dialect.true_values:
        return f"such as {dialect.true_values[0]} or {dialect.false_values[0]}"
    if _is_number(column) and (dialect.decimal != "." or dialect.thousands):
        fraction = "" if column.type in ("smallint", "integer", "bigint") else f"{dialect.decimal}5"
        return f"such as 1{dialect.thousands or ''}234{fraction}"
    return ""


def _clean(column: Column, dialect: Dialect, null_values: Sequence[str]) -> str:
    name = quote(column.name)
    # A text that is empty is quoted, and stays what it is.
    text = (
        f"CASE WHEN {name} = '' THEN '' ELSE NULLIF(trim({name}, chr(32) || chr(9) || chr(160)), '') END"
        if dialect.trim
        else name
    )
    if null_values:
        text = (
            f"CASE WHEN {text} IN ({', '.join(map(string_literal, null_values))}) THEN NULL ELSE {text} END"
        )
    return f"{text} AS {name}"


def _rewrite(column: Column, dialect: Dialect) -> str:
    """Return the SQL of a column's text in its usual form."""
    name = quote(column.name)
    if form := _time_format(column, dialect):
        parsed = f"try_strptime({name}, {string_literal(form)})"
        if "%z" in form:
            parsed = f"({parsed} AT TIME ZONE 'UTC')"
        usual = "%Y-%m-%d" if column.type == "date" else "%Y-%m-%d %H:%M:%S.%f"
        condition, text = (
            f"{_matches(name, time_pattern(form))} AND {parsed} IS NOT NULL",
            f"strftime({parsed}, '{usual}')",
        )
    elif column.type == "boolean":
        listed = [
            ", ".join(map(string_literal, values)) for values in (dialect.true_values, dialect.false_values)
        ]
        condition, text = (
            f"{name} IN ({', '.join(listed)})",
            f"CASE WHEN {name} IN ({listed[0]}) THEN 'true' ELSE 'false' END",
        )
    else:
        condition, text = _matches(name, _number_pattern(dialect)), name
        if dialect.thousands:
            text = f"replace({text}, {string_literal(dialect.thousands)}, '')"
        text = f"replace({text}, {string_literal(dialect.decimal)}, '.')"
    return f"CASE WHEN {condition} THEN {text} ELSE '{NOT_DECLARED}' || {name} END"


def _matches(name: str, pattern: str) -> str:
    return f"regexp_full_match({name}, {string_literal(pattern)})"


def _number_pattern(dialect: Dialect) -> str:
    whole = "[0-9]*"
    if dialect.thousands:
        whole = f"(?:[1-9][0-9]{{0,2}}(?:{re.escape(dialect.thousands)}[0-9]{{3}})+|[0-9]*)"
    return f" *[+-]?{whole}(?:{re.escape(dialect.decimal)}[0-9]*)?(?:[eE][+-]?[0-9]+)? *"


def time_pattern(form: str) -> str:
    """Return the regular expression of the texts of a form of dates or timestamps."""
    parts = re.findall(r"%.|[^%]+", form)
    found = []
    for place, part in enumerate(parts):
        pattern = TIME_DIRECTIVES.get(part) or re.escape(part)
        # Without anything between two numbers, only their widths distinguish them.
        touches = {*parts[place + 1 : place + 2], *parts[max(place - 1, 0) : place]} & NUMERIC_DIRECTIVES
        found.append(pattern.replace("{1,", "{") if part in NUMERIC_DIRECTIVES and touches else pattern)
    return f" *{''.join(found)} *"


def _time_format(column: Column, dialect: Dialect) -> str | None:
    if column.unit is not None:
        return None
    formats = {
        "date": column.date_format or dialect.date_format,
        "timestamp": column.timestamp_format or dialect.timestamp_format,
    }
    return formats.get(column.type)


def _is_number(column: Column) -> bool:
    return column.unit is None and column.type.startswith(NUMBERS)
