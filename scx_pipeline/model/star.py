"""A declared star: its sources, tables and queries, and the rules that they must satisfy together.

SQL files are not part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from pydantic import Field, model_validator

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.declaration import Cron, Declaration, MonthText, Name, SchemaName, Tags
from scx_pipeline.model.dialect import DEFAULT_DIALECT
from scx_pipeline.model.field_rules import check_fields
from scx_pipeline.model.query import Query
from scx_pipeline.model.reserved_names import RESERVED_COLUMNS
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table


class Star(Declaration):
    """A star schema: everything that its defs.yaml declares."""

    name: Name = Field(description="its name in commands and in Dagster, and that of its folder")
    description: str = Field(description="what it is about, as shown in Dagster")
    schema_name: SchemaName = Field(
        alias="schema",
        description="the database schema of its tables; not scx_pipeline, which holds the load history",
    )
    first_month: MonthText = Field(description="the first month that is loaded, YYYY-MM")
    owners: tuple[str, ...] = Field(
        (), description="who answers for it, as shown in Dagster: an e-mail address or team:name"
    )
    fresh_within_days: int | None = Field(
        None, ge=1, description="warn when the newest event is older than this number of days"
    )
    schedule: Cron | None = Field(
        None,
        description="when the schedule loads what has changed, as cron in UTC; default: every hour",
    )
    tags: Tags = Field({}, description="tags of the star's jobs and runs in Dagster")
    op_tags: Mapping[str, Any] = Field(
        {}, description="tags of the steps of runs, such as dagster-k8s/config with requests and limits"
    )
    sources: tuple[Source, ...] = Field(min_length=1, description="where its rows come from")
    tables: tuple[Table, ...] = Field(min_length=1, description="its staging tables, dimensions and facts")
    queries: tuple[Query, ...] = Field((), description="the analysts' queries")

    def table(self, name: str) -> Table:
        return {table.name: table for table in self.tables}[name]

    def source(self, name: str) -> Source:
        return {source.name: source for source in self.sources}[name]

    @property
    def staging_tables(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.role == "staging")

    @property
    def derived_tables(self) -> tuple[Table, ...]:
        """The dimensions and facts."""
        return tuple(table for table in self.tables if table.role != "staging")

    @property
    def unpartitioned_tables(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.is_unpartitioned)

    @property
    def monthly_tables(self) -> tuple[Table, ...]:
        """The tables that are loaded by month: partitioned and keyed."""
        return tuple(table for table in self.tables if not table.is_unpartitioned)

    def sources_of(self, table: Table) -> list[Source]:
        """Return the sources of a staging table, in the order of their names."""
        found = (source for source in self.sources if source.name in table.source_names)
        return sorted(found, key=attrgetter("name"))

    @property
    def staged_sources(self) -> list[tuple[Table, Source]]:
        """Every staging table with each of its sources."""
        return [(table, source) for table in self.tables for source in self.sources_of(table)]

    def months(self, now: Month | None = None) -> MonthRange:
        """Return every month that the star may hold: from its first month to the current one (or `now`)."""
        return MonthRange(self.first_month, max(self.first_month, now or Month.current()))

    @model_validator(mode="after")
    def _check(self) -> Star:
        for rule in STAR_RULES:
            for violation in rule(self):
                raise ValueError(violation)
        return self


def check_names(star: Star) -> Iterator[str]:
    """Tables and sources have names of their own, and none takes the name of the report."""
    tables = {table.name for table in star.tables}
    sources = {source.name for source in star.sources}
    if len(tables) < len(star.tables) or len(sources) < len(star.sources):
        yield f"star {star.name}: two tables or two sources have the same name"
    for name in sorted(tables & sources):
        yield f"star {star.name}: a source and a table are both named {name}: rename one of them"
    if star.queries and "report" in tables | sources:
        yield f"star {star.name}: no table or source can be named report: the star's report has that name"


def check_reserved_columns(star: Star) -> Iterator[str]:
    """No column has a name that the pipeline uses."""
    for table in star.tables:
        for name in sorted(RESERVED_COLUMNS.intersection(table.column_names)):
            yield f"table {table.name}: a column cannot be named {name}: the pipeline uses that name"


def check_declared_sources(star: Star) -> Iterator[str]:
    """Every staging table names declared sources."""
    names = {source.name for source in star.sources}
    for table in star.staging_tables:
        for name in table.source_names:
            if name not in names:
                yield f"table {table.name}: source {name} is not declared"


def check_prefixes(star: Star) -> Iterator[str]:
    """A prefix is a folder of the bucket, or its root."""
    for source in star.sources:
        folder = source.prefix.strip("/")
        if source.prefix != (f"{folder}/" if folder else ""):
            remedy = f"{folder}/, or an empty text for" if folder else "an empty text for"
            yield f"source {source.name}: prefix is {source.prefix!r}: write {remedy} the bucket's root"


def check_urls(star: Star) -> Iterator[str]:
    """A bucket of a source's own is a folder or in S3, and only one in S3 has S3's options."""
    for source in star.sources:
        url, options = source.url, source.region or source.endpoint or source.anonymous
        if url is not None and not url.startswith(("s3://", "file:///")):
            yield f"source {source.name}: url is {url!r}: write s3://bucket, s3://bucket/prefix or file:///folder"
        if options and not (url or "").startswith("s3://"):
            yield f"source {source.name}: region, endpoint and anonymous need a url that begins with s3://"
        if source.endpoint and not source.endpoint.startswith(("http://", "https://")):
            yield f"source {source.name}: endpoint must be a URL, such as https://s3.example.com"


def check_staging_event_times(star: Star) -> Iterator[str]:
    """A staging table has its source's event time, as a column that is not nullable."""
    for table, source in star.staged_sources:
        if source.event_time != table.event_time or not (table.is_partitioned or table.is_unpartitioned):
            yield f"table {table.name}: event_time must be {source.event_time or 'left out'}, as in source {source.name}"
        if table.is_partitioned and table.column(table.event_time_column).nullable:
            yield f"table {table.name}: {table.event_time} must be declared nullable: false"


def check_staging_sequences(star: Star) -> Iterator[str]:
    """A staging table is ordered by its own columns."""
    for table in star.staging_tables:
        for name in table.sequence_by:
            if name not in table.column_names:
                yield f"table {table.name}: sequence_by names {name}, which is not one of its columns"


def check_formats(star: Star) -> Iterator[str]:
    """Nothing is declared that the format of the source, or its file patterns, cannot provide."""
    for table, source in star.staged_sources:
        for violation in check_fields(table, source):
            yield f"table {table.name}: {violation}"
        header = source.dialect.header
        if isinstance(header, tuple):
            for column in table.columns:
                if column.field_name not in header:
                    yield f"table {table.name}: {column.name} reads {column.field_name}, which source {source.name} does not name in its header"
        both = {*source.null_values} & {*source.dialect.true_values, *source.dialect.false_values}
        if both:
            yield f"source {source.name}: {sorted(both)[0]!r} is a null value and a boolean: leave one"
        if source.format != "csv" and source.dialect != DEFAULT_DIALECT:
            yield f"source {source.name}: only a csv source has a dialect"
        if source.files_per_day and not all("{day}" in item.pattern for item in source.files):
            yield f"source {source.name}: files_per_day needs {{day}} in all file patterns"


def check_rejected_shares(star: Star) -> Iterator[str]:
    """The share of rejected rows that is warned of does not exceed the limit, which fails the load."""
    for source in star.sources:
        if source.warn_above is not None and source.warn_above > source.reject_limit:
            yield (
                f"source {source.name}: warn_above is {source.warn_above:g}, but must be at most the reject_limit, "
                f"{source.reject_limit:g}, above which a month is not published"
            )


def check_references(star: Star) -> Iterator[str]:
    """A reference leads to a table with a key of one column, and from an unpartitioned table to another one."""
    tables = {table.name: table for table in star.tables}
    for table in star.tables:
        for column in table.columns:
            if column.references is None:
                continue
            target = tables.get(column.references)
            where = f"table {table.name}: {column.name} references {column.references}"
            if target is None:
                yield f"{where}, which is not a table of the star"
            elif len(target.key) != 1:
                yield f"{where}, whose key is not a single column"
            elif table.is_unpartitioned and not target.is_unpartitioned:
                yield f"{where}, but an unpartitioned table can reference only unpartitioned tables"


def check_row_counts(star: Star) -> Iterator[str]:
    """`equal_row_count` names a table of the star."""
    names = {table.name for table in star.tables}
    for table in star.tables:
        if table.equal_row_count is not None and table.equal_row_count not in names:
            yield f"table {table.name}: equal_row_count names {table.equal_row_count}, which is not a table of the star"


# Each rule yields its violations; the first one is reported.
STAR_RULES: tuple[Callable[[Star], Iterator[str]], ...] = (
    check_names,
    check_reserved_columns,
    check_declared_sources,
    check_prefixes,
    check_urls,
    check_staging_event_times,
    check_staging_sequences,
    check_formats,
    check_rejected_shares,
    check_references,
    check_row_counts,
)
