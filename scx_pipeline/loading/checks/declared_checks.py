"""The checks that follow from a star's declaration, with their descriptions.

Evaluating them does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scx_pipeline.history.check_result import DeclaredCheck, Severity
from scx_pipeline.loading.checks.check_names import (
    REJECTED_ROWS,
    format_percent,
    reference_check_name,
    unique_check_name,
)
from scx_pipeline.loading.checks.row_scan import row_rules
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.source import Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table


def declared_checks(star: Star) -> list[DeclaredCheck]:
    """Return every check of the star, in the order of its tables and columns."""
    return [
        DeclaredCheck(table.name, name, description, severity)
        for table in star.tables
        for name, description, severity in _table_checks(star, table)
    ]


def _table_checks(star: Star, table: Table) -> Iterable[tuple[str, str, Severity]]:
    yield "row_count", _row_count_rule(table), _row_count_severity(table)
    if table.role == "staging":
        yield from _staging_checks(star.sources_of(table))
    if table.key:
        keys = ", ".join(table.key)
        yield unique_check_name(table), f"No two rows have the same {keys}, in any month.", "error"
    for rule in row_rules(table):
        yield rule.name, rule.description, "error"
    for column in table.columns:
        if column.references:
            description = f"Every {column.name} exists in {column.references}."
            yield reference_check_name(table, column), description, "error"


def _staging_checks(sources: Sequence[Source]) -> Iterable[tuple[str, str, Severity]]:
    # A rule of one of several sources is named after it.
    of_source = {source.name: f"{source.name}: " if len(sources) > 1 else "" for source in sources}
    yield "row_reconciliation", "Per object: read = loaded + rejected + deduplicated + filtered.", "error"
    limits = [f"{of_source[source.name]}{_rejected_rows_rule(source)}" for source in sources]
    yield REJECTED_ROWS, " ".join(limits), "error"
    fields = "Warns of undeclared fields in the files, and of declared fields that no record has."
    yield "declared_fields", fields, "warn"
    rows = [
        f"{of_source[source.name]}Warns of a file that does not have {source.rows_per_file:,} rows."
        for source in sources
        if source.rows_per_file
    ]
    if rows:
        yield "rows_per_file", " ".join(rows), "warn"
    files = [
        f"{of_source[source.name]}Warns of a day that does not have {source.files_per_day:,} files, "
        "from the first day to the last."
        for source in sources
        if source.files_per_day
    ]
    if files:
        yield "files_per_day", " ".join(files), "warn"


def _rejected_rows_rule(source: Source) -> str:
    limit = format_percent(source.reject_limit)
    warning = "" if source.warn_above is None else f" Warns above {format_percent(source.warn_above)}."
    return f"At most {limit} of a month's rows are rejected.{warning}"


def _row_count_rule(table: Table) -> str:
    if table.role == "staging":
        return "The loaded months have as many rows as were counted as loaded."
    if table.equal_row_count:
        return f"Every month has as many rows as in {table.equal_row_count}."
    if table.min_rows == 0:
        return "Warns of a month without rows if the table's inputs have rows."
    return f"A month has at least {count_of(table.min_rows, 'row')} if the table's inputs have rows."


def _row_count_severity(table: Table) -> Severity:
    return "warn" if table.role != "staging" and table.min_rows == 0 else "error"
