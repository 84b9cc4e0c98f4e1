"""The checks of an ingestion, which are evaluated before derived tables are built.

Counting the rows does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from scx_pipeline.history.check_result import CheckResult, RejectedExample, count_by_month, format_month_pairs
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.checks.check_names import (
    MAX_EXAMPLES,
    PASSED,
    REJECTED_ROWS,
    describe_duplicate,
    format_percent,
    unique_check_name,
)
from scx_pipeline.loading.checks.merged_sources import merge_sources
from scx_pipeline.loading.ingest.rejected_shares import RejectedShares
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.source import Source

MAX_REJECTED_EXAMPLES = 3  # rejected rows that a message describes
MAX_LISTED_REJECTS = 20  # that a result lists


def check_ingest_result(
    sources: Sequence[Source], ingest_result: IngestResult, scope: LoadScope
) -> list[CheckResult]:
    """Return the results of an ingestion's checks; what a source declares is checked of its own objects."""
    table = ingest_result.table
    of_each = [(source, ingest_result.of_source(source.name)) for source in sources]
    # A source without objects is not mentioned, unless there are none at all.
    of_source = [(source, found) for source, found in of_each if found.counts or found.earlier] or of_each[:1]
    results = [
        _row_reconciliation(ingest_result, scope),
        merge_sources(
            {source.name: _rejected_rows(source, found, scope) for source, found in of_source},
            MAX_LISTED_REJECTS,
        ),
        _declared_fields(ingest_result),
    ]
    for compare in (_rows_per_file, _files_per_day):
        compared = {source.name: compare(source, found) for source, found in of_each}
        declared = {name: result for name, result in compared.items() if result}
        results += [merge_sources(declared, MAX_LISTED_REJECTS)] if declared else []
    if ingest_result.conflicting_keys:
        message = "; ".join(
            describe_duplicate(table, item.key, item.months) for item in ingest_result.conflicting_keys
        )
        by_month = count_by_month(ingest_result.conflicting_rows)
        conflicts = format_month_pairs(ingest_result.conflicting_months)
        results.append(
            CheckResult(
                table.name, unique_check_name(table), False, message, violations=by_month, conflicts=conflicts
            )
        )
    return results


def _row_reconciliation(ingest_result: IngestResult, scope: LoadScope) -> CheckResult:
    unbalanced = [count.object for count in ingest_result.counts if not count.balanced]
    keys = ", ".join(item.info.key for item in unbalanced[:MAX_EXAMPLES])
    message = (
        f"read differs from loaded + rejected + deduplicated + filtered in {keys}"
        if unbalanced
        else f"{count_of(ingest_result.total('read'), 'row')} read: {ingest_result.total('loaded'):,} loaded, "
        f"{ingest_result.total('rejected'):,} rejected, {ingest_result.total('deduplicated'):,} deduplicated, "
        f"{ingest_result.total('filtered'):,} filtered"
    )
    months = Counter(month for item in unbalanced for month in item.months or [None])
    kept = {
        month: count
        for month, count in months.items()
        if month is None or scope is UNPARTITIONED or month in scope
    }
    by_month = count_by_month(kept)
    return CheckResult(
        ingest_result.table.name, "row_reconciliation", not unbalanced, message, violations=by_month
    )


def _rejected_rows(source: Source, ingest_result: IngestResult, scope: LoadScope) -> CheckResult:
    """Check the share of rejected rows of each month, which does not depend on the other months of the load."""
    # Those of the objects that are not read again, too: their share is that of the months.
    counts = [*ingest_result.earlier, *ingest_result.counts]
    read, rejected = sum(count.read for count in counts), sum(count.rejected for count in counts)
    share = rejected / read if read else 0
    shares = RejectedShares(scope)
    shares.add(counts)
    above = shares.above(source.reject_limit)
    is_warning = not above and source.warn_above is not None
    if is_warning:
        above = shares.above(source.warn_above or 0)
    limit = f"; the limit is {format_percent(source.reject_limit)}" if rejected else ""
    if rejected and source.warn_above is not None:
        limit += f", a warning is given above {format_percent(source.warn_above)}"
    message = f"{rejected:,} of {read:,} rows were rejected ({share:.2%}{limit})"
    if 0 < len(above) < len(shares.months):
        message += f", {_describe_shares(above)}"
    if ingest_result.ended_early:
        message += ", so reading stopped early"
    if rejected:
        message += f": {_examples(ingest_result)}"
    return CheckResult(
        ingest_result.table.name, REJECTED_ROWS, not above, message, "warn" if above and is_warning else "error",
        count_by_month({month: found for month, (_, found) in above.items()}),
        numbers={"rows_rejected": rejected, "rows_read": read, "share": round(share, 6)},
        examples=tuple(
            RejectedExample(row.key, row.line, row.column, row.reason)
            for row in ingest_result.rejected[:MAX_LISTED_REJECTS]
        ),
    )  # fmt: skip


def _describe_shares(by_month: Mapping[Month | None, tuple[int, int]]) -> str:
    """Name the months that exceed the limit, with their rows rejected and read."""
    listed = [
        f"{rejected:,} of {read:,} in {month}"
        for month, (read, rejected) in list(by_month.items())[:MAX_EXAMPLES]
    ]
    more = f" and in {len(by_month) - MAX_EXAMPLES:,} more months" if len(by_month) > MAX_EXAMPLES else ""
    return f"{', '.join(listed)}{more}"


def _examples(ingest_result: IngestResult) -> str:
    examples = [
        f"{row.key}, line {row.line if row.line is not None else '?'}: {f'{row.column} ' if row.column else ''}{row.reason}"
        for row in ingest_result.rejected[:MAX_REJECTED_EXAMPLES]
    ]
    more = ingest_result.total("rejected") - len(examples)
    return "; ".join(examples) + (f"; and {more:,} more" if more else "")


def _declared_fields(ingest_result: IngestResult) -> CheckResult:
    """Check that the files have no undeclared fields, which are not loaded, and that no file lacks a declared field."""
    unknown: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}
    for key, fields in ingest_result.undeclared_fields:
        for name in fields.unknown:
            unknown.setdefault(name, []).append(key)
        for name in fields.absent:
            absent.setdefault(name, []).append(key)
    messages = [
        f"{name!r} is not declared, and was not loaded, in {_format_files(keys)}"
        for name, keys in unknown.items()
    ]
    messages += [f"no record has {name!r} in {_format_files(keys)}" for name, keys in absent.items()]
    return CheckResult(
        ingest_result.table.name, "declared_fields", not messages, "; ".join(messages) or PASSED, "warn"
    )


def _format_files(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{len(keys):,} files, such as {keys[0]}"


def _rows_per_file(source: Source, ingest_result: IngestResult) -> CheckResult | None:
    if not source.rows_per_file:
        return None
    rows = {count.object.info.key: count.read for count in ingest_result.counts}
    return _compare_counts(ingest_result.table.name, "rows_per_file", "row", rows, source.rows_per_file)


def _files_per_day(source: Source, ingest_result: IngestResult) -> CheckResult | None:
    if not source.files_per_day:
        return None
    files = Counter(count.object.day for count in [*ingest_result.earlier, *ingest_result.counts])
    days = sorted(day for day in files if day)
    length = (days[-1] - days[0]).days + 1 if days else 0
    every_day = [days[0] + timedelta(days=number) for number in range(length)]
    per_day = {str(day): files[day] for day in every_day}
    return _compare_counts(ingest_result.table.name, "files_per_day", "file", per_day, source.files_per_day)


def _compare_counts(
    table: str, check: str, unit: str, counts: Mapping[str, int], expected: int
) -> CheckResult:
    """Warn of the names whose count is not the expected one."""
    wrong = {name: count for name, count in counts.items() if count != expected}
    listed = ", ".join(
        f"{name} has {count_of(count, unit)}" for name, count in list(wrong.items())[:MAX_EXAMPLES]
    )
    more = f"; and {len(wrong) - MAX_EXAMPLES:,} more" if len(wrong) > MAX_EXAMPLES else ""
    message = f"{listed}{more}; expected {expected:,}" if wrong else PASSED
    return CheckResult(table, check, not wrong, message, "warn")
