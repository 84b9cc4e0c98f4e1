"""The checks that follow from a star's declared facts, and their evaluation on the slice of a load.
They run inside the publishing transaction; what happens when one fails is decided by the load."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.latest_rows import touched_keys_table
from scx_pipeline.history.check_result import CheckResult, DeclaredCheck, Rows, Severity
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.source import Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.selection import day_of
from scx_pipeline.warehouse.session import Relations
from scx_pipeline.warehouse.sql_text import in_scope, month_within, names, quote

SHOWN = 5


def declared_checks(star: Star) -> list[DeclaredCheck]:
    """Every check of the star, in the order of its tables and columns."""
    return [check for table in star.tables for check in _of_table(star, table)]


def _of_table(star: Star, table: Table) -> Iterable[DeclaredCheck]:
    yield DeclaredCheck(table.name, "row_count", _row_count_rule(table))
    if table.role == "staging":
        yield DeclaredCheck(
            table.name,
            "row_reconciliation",
            "Per object: read = loaded + rejected + deduplicated + filtered.",
        )
        limit = star.source(table.source or "").reject_limit
        yield DeclaredCheck(
            table.name,
            "rejected_rows",
            f"Warns of rejected rows; fails above {_percent(limit)} of a load's rows.",
        )
        yield DeclaredCheck(
            table.name,
            "declared_fields",
            "Warns of fields in the files that are not declared, or that none has.",
        )
        yield from _of_files(table, star.source(table.source or ""))
    if table.key:
        yield DeclaredCheck(
            table.name, unique_name(table), f"No two rows have the same {', '.join(table.key)}, in any month."
        )
    for rule in _rules(table):
        yield DeclaredCheck(table.name, rule.name, rule.description)
    for column in table.columns:
        if column.references:
            yield DeclaredCheck(
                table.name,
                reference_name(table, column),
                f"Every {column.name} is found in {column.references}.",
            )


def _of_files(table: Table, source: Source) -> Iterable[DeclaredCheck]:
    if source.rows_per_file:
        yield DeclaredCheck(
            table.name, "rows_per_file", f"Warns of a file that has not {source.rows_per_file:,} rows."
        )
    if source.files_per_day:
        yield DeclaredCheck(
            table.name,
            "files_per_day",
            f"Warns of a day that has not {source.files_per_day:,} files, from the first to the last.",
        )


def unique_name(table: Table) -> str:
    """The name of the check of the table's key."""
    return f"unique_{'_'.join(table.key)}"


def reference_name(table: Table, column: Column) -> str:
    """The name of a reference's check: of the table it goes to, and of the column where two go to the same."""
    same = [other for other in table.columns if other.references == column.references]
    return f"references_{column.references}" + (f"_{column.name}" if len(same) > 1 else "")


@dataclass(frozen=True)
class _Rule:
    """A check of single rows: the aggregate that counts violations."""

    column: str
    name: str
    count: str
    description: str
    expectation: str


class _NotNull(_Rule):
    """That a column is never NULL."""


def _rules(table: Table) -> list[_Rule]:
    rules: list[_Rule] = []
    for column in table.columns:
        name = quote(column.name)
        if not column.nullable:
            rules.append(
                _NotNull(
                    column.name,
                    f"not_null_{column.name}",
                    f"COUNT(*) - COUNT({name})",  # quicker than a look at each value
                    f"{column.name} is never null.",
                    "is null",
                )
            )
        if column.accepted_values:
            listed = ", ".join(
                str(v) if isinstance(v, int) else "'" + v.replace("'", "''") + "'"
                for v in column.accepted_values
            )
            shown = ", ".join(map(str, column.accepted_values))
            rules.append(
                _Rule(
                    column.name,
                    f"accepted_values_{column.name}",
                    _count_where(f"{name} NOT IN ({listed})"),
                    f"{column.name} is one of {shown}.",
                    f"is none of {shown}",
                )
            )
        if column.days_after:
            after = column.days_after
            other, days = quote(after.column), f"{after.least} to {after.most} days after {after.column}"
            rules.append(
                _Rule(
                    column.name,
                    f"days_after_{column.name}",
                    _count_where(
                        f"{name} < {other} + INTERVAL '{after.least} days' OR {name} > {other} + INTERVAL '{after.most} days'"
                    ),
                    f"{column.name} is {days}.",
                    f"is not {days}",
                )
            )
        if column.range:
            low, high = (f"{bound:.15g}" for bound in column.range)
            rules.append(
                _Rule(
                    column.name,
                    f"range_{column.name}",
                    _count_where(f"{name} < {low} OR {name} > {high}"),
                    f"{column.name} is within {low} … {high}.",
                    f"is outside {low} … {high}",
                )
            )
    return rules


def _count_where(condition: str) -> str:
    return f"COUNT(CASE WHEN {condition} THEN 1 END)"


def _row_count_rule(table: Table) -> str:
    if table.role == "staging":
        return "The slice holds as many rows as the accounting says were loaded."
    if table.equal_row_count:
        return f"Every month has as many rows as in {table.equal_row_count}."
    if table.min_rows == 0:
        return "Warns of a month without rows, if what the table is made from has some."
    return f"A month has {table.min_rows:,} rows or more, if what the table is made from has any."


def check_ingest_result(source: Source, ingest_result: IngestResult) -> list[CheckResult]:
    """The checks of an ingestion itself, known before anything is built on it."""
    table = ingest_result.table
    unbalanced = [count.object.info.key for count in ingest_result.counts if not count.balanced]
    read, rejected = ingest_result.total("read"), ingest_result.total("rejected")
    share = rejected / read if read else 0.0
    limit = f"; the limit is {_percent(source.reject_limit)}" if rejected else ""
    told = f"{rejected:,} of {read:,} rows were rejected ({share:.2%}{limit})"
    if ingest_result.ended_early:
        told += ", so reading stopped early"
    if rejected:
        told += f": {_examples(ingest_result)}"
    results = [
        CheckResult(
            table.name,
            "row_reconciliation",
            not unbalanced,
            f"read differs from loaded + rejected + deduplicated + filtered in {', '.join(unbalanced[:SHOWN])}"
            if unbalanced
            else f"{read:,} rows read: {ingest_result.total('loaded'):,} loaded, {rejected:,} rejected, "
            f"{ingest_result.total('deduplicated'):,} deduplicated, {ingest_result.total('filtered'):,} of other months",
        ),
        CheckResult(
            table.name,
            "rejected_rows",
            rejected == 0,
            told,
            "error" if share > source.reject_limit or ingest_result.ended_early else "warn",
        ),
    ]
    strange = _undeclared_fields(ingest_result)
    results.append(
        CheckResult(table.name, "declared_fields", not strange, "; ".join(strange) or "holds", "warn")
    )
    results += _check_files(source, ingest_result)
    if ingest_result.duplicate_keys:
        results.append(
            CheckResult(
                table.name,
                unique_name(table),
                False,
                "; ".join(_duplicate_keys(ingest_result)),
                violations={},
            )
        )
    return results


def _percent(share: float) -> str:
    """A declared share as it was meant: 5%, or 0.5%."""
    return f"{share * 100:g}%"


def _check_files(source: Source, ingest_result: IngestResult) -> Iterable[CheckResult]:
    table = ingest_result.table.name
    if source.rows_per_file:
        odd = {
            count.object.info.key: count.read
            for count in ingest_result.counts
            if count.read != source.rows_per_file
        }
        yield CheckResult(table, "rows_per_file", not odd, _odd(odd, "rows", source.rows_per_file), "warn")
    if source.files_per_day:
        found = Counter(day_of(source, count.object.info.key) for count in ingest_result.counts)
        days = sorted(day for day in found if day)
        scope = (days[-1] - days[0]).days + 1 if days else 0
        every = [days[0] + timedelta(days=number) for number in range(scope)]
        odd = {str(day): found[day] for day in every if found[day] != source.files_per_day}
        yield CheckResult(table, "files_per_day", not odd, _odd(odd, "files", source.files_per_day), "warn")


def _odd(counts: Mapping[str, int], what: str, usual: int) -> str:
    shown = ", ".join(f"{name} has {count:,} {what}" for name, count in list(counts.items())[:SHOWN])
    more = f"; and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else ""
    return f"{shown}{more}; {usual:,} are usual" if counts else "holds"


def _examples(ingest_result: IngestResult) -> str:
    shown = [
        f"{row.key}, line {row.line if row.line is not None else '?'}: {f'{row.column} ' if row.column else ''}{row.reason}"
        for row in ingest_result.rejected[:3]
    ]
    more = ingest_result.total("rejected") - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")


def _undeclared_fields(ingest_result: IngestResult) -> list[str]:
    """What is said of fields that are not declared, and so not loaded, and of those that whole files lack."""
    unknown: dict[str, list[str]] = {}
    absent: dict[str, list[str]] = {}
    for key, undeclared_fields in ingest_result.undeclared_fields:
        for name in undeclared_fields.unknown:
            unknown.setdefault(name, []).append(key)
        for name in undeclared_fields.absent:
            absent.setdefault(name, []).append(key)
    told = [
        f"{name!r} is not declared, and was not loaded, in {_files(keys)}" for name, keys in unknown.items()
    ]
    return told + [f"no record has {name!r} in {_files(keys)}" for name, keys in absent.items()]


def _files(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{len(keys):,} files, such as {keys[0]}"


def _duplicate_keys(ingest_result: IngestResult) -> Iterable[str]:
    for duplicate_keys in ingest_result.duplicate_keys:
        key = _key_text(ingest_result.table, duplicate_keys.key)
        if duplicate_keys.months is None:
            yield f"{key} stands twice"
            continue
        first, last = duplicate_keys.months
        yield f"{key} stands in {first} and in {last}" if first != last else f"{key} stands twice in {first}"


def _key_text(table: Table, values: Sequence[object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(table.key, values, strict=True))


def _when(month: Month | None) -> str:
    return str(month) if month else "the table"


class RowScan:
    """How many rows of a table's slice are in each month, and how many break which rule of single rows.

    Counted in one scan, or in one of each part of the rows.
    """

    def __init__(self, table: Table, scope: LoadScope) -> None:
        self.table, self.rules, self.scope = table, _rules(table), scope
        self.counts: dict[Month | None, list[int]] = defaultdict(lambda: [0] * (1 + len(self.rules)))

    def sql(self, relation: str, full: Collection[str] = ()) -> str:
        """The query of a part, all of whose rows are of the slice; `add` takes its result.

        Columns known to be `full`, without a NULL, are not looked at for one.
        """
        month = (
            month_within(self.table.event_time_column, self.scope)
            if self.scope is not UNPARTITIONED and self.table.partitioned
            else "NULL"
        )
        broken = "".join(
            ", 0" if isinstance(rule, _NotNull) and rule.column in full else f", {rule.count}"
            for rule in self.rules
        )
        grouped = " GROUP BY 1" if self.table.partitioned else ""
        return f"SELECT {month}, COUNT(*){broken} FROM {relation} AS s{grouped}"

    def add(self, found: Iterable[Sequence[Any]]) -> None:
        """Count a part's rows in."""
        for start, *counts in found:
            month = Month.of(start) if start else None
            self.counts[month] = [sum(pair) for pair in zip(self.counts[month], counts, strict=True)]

    def rows(self) -> dict[Month | None, int]:
        """How many rows each month has that has any."""
        return {month: counts[0] for month, counts in self.counts.items()}

    def results(self) -> list[CheckResult]:
        """How each rule came out."""
        return [self._result(rule, index) for index, rule in enumerate(self.rules, start=1)]

    def _result(self, rule: _Rule, index: int) -> CheckResult:
        wrong = {
            str(month) if month else "all": counts[index]
            for month, counts in self.counts.items()
            if counts[index]
        }
        told = ", ".join(
            f"{count:,} rows" + (f" in {month}" if month != "all" else "")
            for month, count in sorted(wrong.items())[:SHOWN]
        )
        message = f"{rule.column} {rule.expectation} in {told}" if wrong else "holds"
        return CheckResult(self.table.name, rule.name, not wrong, message, violations=wrong)


@dataclass(frozen=True)
class PartitionChecks:
    """The checks of one table's slice, evaluated inside the transaction."""

    session: Relations
    compiled: CompiledStar
    scope: LoadScope
    expected_rows: Callable[[Table], Rows]
    count_rows: Callable[[Table], Rows]  # of the span's months, as they stand

    def scan(self, table: Table) -> tuple[Rows, list[CheckResult]]:
        """How many rows each month gives to the table, and all rules of single rows, in one scan of the slice."""
        scan = RowScan(table, self.scope)
        scan.add(self._near(table).rows(scan.sql(self._slice(table))))
        return self.scanned(scan)

    def scanned(self, scan: RowScan) -> tuple[Rows, list[CheckResult]]:
        """The same, of a slice that was scanned before."""
        counted, table = scan.rows(), scan.table
        if table.partitioned:
            assert self.scope is not UNPARTITIONED
            return {month: counted.get(month, 0) for month in self.scope}, scan.results()
        return {None: counted.get(None, 0)} if table.unpartitioned else self.count_rows(table), scan.results()

    def run(self, table: Table, rows: Rows, loaded: int | None) -> list[CheckResult]:
        """The table's other checks; `loaded` is what the accounting expects of a staging table."""
        results = [self._row_count(table, rows, loaded)]
        if table.key:
            results.append(self._unique(table))
        return results + self.references(table, [target.name for target in self.compiled.star.tables])

    def references(self, table: Table, targets: Collection[str], made: bool = True) -> list[CheckResult]:
        """The checks of the table's references to some tables; `made` says whether the load made the table itself."""
        unpartitioned = not made and not table.partitioned
        rows = self.compiled.full_name(table) if unpartitioned else self._slice(table)
        return [
            self._reference(table, column, rows) for column in table.columns if column.references in targets
        ]

    def _row_count(self, table: Table, rows: Rows, loaded: int | None) -> CheckResult:
        total = sum(rows.values())
        if loaded is not None:
            message = (
                f"{total:,} rows" if total == loaded else f"{total:,} rows stand, but {loaded:,} were loaded"
            )
            return CheckResult(table.name, "row_count", total == loaded, message)
        wrong = {}
        inputs = self._inputs(table)
        for month, count in rows.items():
            if table.equal_row_count:
                expected = (self.expected_rows(self.compiled.star.table(table.equal_row_count)) or {}).get(
                    month
                )
                if expected is not None and expected != count:
                    wrong[_when(month)] = abs(expected - count)
            elif (
                count < max(1, table.min_rows)
                and inputs
                and all((self.expected_rows(item) or {}).get(month) for item in inputs)
            ):
                wrong[_when(month)] = 1
        what = (
            f"as many rows as {table.equal_row_count}"
            if table.equal_row_count
            else f"{'rows' if table.min_rows < 2 else f'{table.min_rows:,} rows'}, though its inputs have"
        )
        message = f"{total:,} rows" if not wrong else f"{', '.join(wrong)}: has not {what}"
        severity: Severity = "warn" if table.min_rows == 0 else "error"
        return CheckResult(table.name, "row_count", not wrong, message, severity, violations=wrong)

    def _inputs(self, table: Table) -> list[Table]:
        """What the table's rows are made from: of a table with months, those that give it its rows month by month."""
        inputs = [self.compiled.star.table(name) for name in self.compiled.reads(table)]
        return [other for other in inputs if table.unpartitioned or not other.unpartitioned]

    def _unique(self, table: Table) -> CheckResult:
        duplicate_keys = (
            []
            if self.session.keys_hold(self.compiled.star.schema_name, self.compiled.stored(table))
            else self._duplicate_keys(table)
        )
        return CheckResult(
            table.name, unique_name(table), not duplicate_keys, "; ".join(duplicate_keys) or "holds"
        )

    def _duplicate_keys(self, table: Table) -> list[str]:
        key, target = names(table.key), self.compiled.full_name(table)
        time = quote(table.event_time_column) if table.partitioned else "NULL"
        twice = f"FROM {self._slice(table)} AS s GROUP BY {key} HAVING COUNT(*) > 1"
        # Nearly always there is none, and that is found in half the time and memory without their moments.
        rows = self.session.rows(f"SELECT {key} {twice} LIMIT 1") and self.session.rows(
            f"SELECT {key}, MIN({time}), MAX({time}) {twice} ORDER BY {key} LIMIT {SHOWN}"
        )
        if not rows and table.partitioned and table.event_time not in table.key:
            joined = " AND ".join(f"o.{quote(name)} = s.{quote(name)}" for name in table.key)
            other = in_scope(table, self.scope).replace(
                quote(table.event_time_column), f"o.{quote(table.event_time_column)}"
            )
            rows = self.session.rows(
                f"SELECT {', '.join(f's.{quote(name)}' for name in table.key)}, s.{time}, o.{time} FROM {self._slice(table)} AS s"
                f" JOIN {target} AS o ON {joined} WHERE NOT {other} LIMIT {SHOWN}"
            )
        return [self._told(table, row) for row in rows]

    def _told(self, table: Table, row: tuple[object, ...]) -> str:
        *values, first, last = row
        text = _key_text(table, values)
        if not table.partitioned:
            return f"{text} stands twice"
        months = sorted({str(first)[:7], str(last)[:7]})
        return (
            f"{text} stands in {' and in '.join(months)}"
            if len(months) > 1
            else f"{text} stands twice in {months[0]}"
        )

    def _reference(self, table: Table, column: Column, rows: str) -> CheckResult:
        target = self.compiled.star.table(column.references or "")
        key, name = quote(target.key[0]), quote(column.name)
        # A dimension kept by month has its keys in the months of the rows that point to them.
        by_month = target.partitioned and target.key[0] == target.event_time
        if by_month:
            session, within = self._near(table, target), f" WHERE {in_scope(target, self.scope)}"
            values = f"(SELECT {name}, 1 AS _rows FROM {rows} AS a WHERE {name} IS NOT NULL)"
        else:
            session, within, values = self.session, "", self._values(table, column, rows)
        orphans = (
            f"FROM {values} AS s"
            f" LEFT JOIN (SELECT {key} FROM {self.compiled.full_name(target)}{within}) AS t"
            f" ON t.{key} = s.{name} WHERE t.{key} IS NULL"
        )
        count = int(session.rows(f"SELECT COALESCE(SUM(s._rows), 0) {orphans}")[0][0])
        message = "holds"
        if count:
            shown = session.rows(f"SELECT DISTINCT s.{name} {orphans} ORDER BY 1 LIMIT {SHOWN}")
            message = f"{count:,} rows have a {column.name} that {target.name} lacks: {', '.join(str(row[0]) for row in shown)}"
        if not by_month:
            self.session.drop_temporary(values)
        return CheckResult(
            table.name,
            reference_name(table, column),
            not count,
            message,
            violations={"all": count} if count else {},
        )

    def _values(self, table: Table, column: Column, rows: str) -> str:
        """A temporary table of the column's values and how often each stands in the rows: far fewer than the rows."""
        near, name = self._near(table), quote(column.name)
        near.create_temporary(
            "_values",
            f"SELECT {name}, COUNT(*) AS _rows FROM {rows} AS a WHERE {name} IS NOT NULL GROUP BY {name}",
        )
        counted = Column(name="_rows", type="bigint", description="how many rows have the value")
        self.session.copy_rows(near, "_values", [column, counted])
        return "_values"

    def _near(self, *tables: Table) -> Relations:
        """Where the tables' slices of this load stand for a query over them alone."""
        return self.session.scratch_session([self.compiled.full_name(table) for table in tables])

    def _slice(self, table: Table) -> str:
        """What the load may have changed of the table, as a relation."""
        target = self.compiled.full_name(table)
        if table.partitioned or table.unpartitioned:
            return f"(SELECT * FROM {target} WHERE {in_scope(table, self.scope)})"
        key = names(table.key)
        return f"(SELECT * FROM {target} WHERE ({key}) IN (SELECT {key} FROM {touched_keys_table(table)}))"
