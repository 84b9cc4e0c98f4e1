"""The facts of a star as frozen types: Star, Source, Table, Column, Query, and Month and MonthRange.
No I/O, no SQL and no engine lives here; of ours, it imports the names that may not be declared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import total_ordering
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from scx_pipeline.model.reserved_names import PREFIX, RESERVED, SYSTEM_COLUMNS, SYSTEM_SCHEMAS

MAX_TEXT_BYTES = 65535  # Redshift's VARCHAR(MAX), so that a text that fits one engine fits all
MONTH_FOLDERS = ("year", "month")  # that a table kept by month has in the lake, of its event time in UTC
_TYPE = re.compile(
    r"^(?:smallint|integer|bigint|double|boolean|date|timestamp|varchar\((?:max|[1-9]\d{0,4})\)|decimal\(\d+,\s*\d+\))$"
)


@total_ordering
@dataclass(frozen=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read `2021-04`; a ValueError says what a month looks like."""
        match = re.fullmatch(r"(\d{4})-(\d{2})", str(text))
        if not match or not 1 <= int(match[2]) <= 12 or not int(match[1]):
            raise ValueError(f"{text!r} is not a month: write it as YYYY-MM, for example 2021-04")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """The month that a UTC moment falls in."""
        return cls(moment.year, moment.month)

    @classmethod
    def current(cls) -> Month:
        """This month, in UTC."""
        return cls.of(datetime.now(UTC))

    @property
    def start(self) -> datetime:
        """The first moment of the month (naive, UTC)."""
        return datetime(self.year, self.month, 1)

    @property
    def end(self) -> datetime:
        """The first moment after the month (naive, UTC)."""
        return self.shift(1).start

    def shift(self, months: int) -> Month:
        """The month that many months later, or earlier."""
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)

    def __lt__(self, other: Month) -> bool:
        return (self.year, self.month) < (other.year, other.month)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


@dataclass(frozen=True)
class MonthRange:
    """A contiguous run of months, both ends included."""

    first: Month
    last: Month

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the span ends ({self.last}) before it begins ({self.first})")

    @property
    def months(self) -> list[Month]:
        return list(self)

    @property
    def start(self) -> datetime:
        return self.first.start

    @property
    def end(self) -> datetime:
        """The first moment after the span."""
        return self.last.end

    def __iter__(self) -> Iterator[Month]:
        month = self.first
        while month <= self.last:
            yield month
            month = month.shift(1)

    def __contains__(self, month: object) -> bool:
        return isinstance(month, Month) and self.first <= month <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}…{self.last}"


class Unpartitioned(Enum):
    """The scope of a load that makes the unpartitioned tables. False in conditions, as it has no months."""

    UNPARTITIONED = "all"  # in columns and keys, in the place of a month

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        return "unpartitioned tables"


UNPARTITIONED: Final = Unpartitioned.UNPARTITIONED
LoadScope: TypeAlias = MonthRange | Unpartitioned


def contiguous_ranges(months: list[Month]) -> list[MonthRange]:
    """The fewest spans that cover exactly these months, in order."""
    scopes: list[MonthRange] = []
    for month in sorted(set(months)):
        if scopes and scopes[-1].last.shift(1) == month:
            scopes[-1] = MonthRange(scopes[-1].first, month)
        else:
            scopes.append(MonthRange(month, month))
    return scopes


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text):
        raise ValueError(
            f"{text!r} is not a name that every engine takes: use lower-case letters, digits and _, at most 63"
        )
    if text.startswith(PREFIX):
        raise ValueError(
            f"{text!r} begins with {PREFIX}, which is reserved for the pipeline: choose another name"
        )
    return text


def _no_system_column(text: str) -> str:
    if text in SYSTEM_COLUMNS:
        raise ValueError(
            f"{text!r} is not a name that every engine takes: PostgreSQL or Redshift has a system column of that name"
        )
    return text


def _no_system_schema(text: str) -> str:
    if text in SYSTEM_SCHEMAS or text.startswith("pg_"):
        raise ValueError(
            f"{text!r} is a schema of the pipeline's own or of an engine's: choose another one for the star"
        )
    return text


def _neutral_type(text: str) -> str:
    if not _TYPE.fullmatch(text):
        raise ValueError(
            f"unknown type {text!r}: use smallint, integer, bigint, double, boolean, date, timestamp, "
            "decimal(p,s), varchar(bytes) or varchar(max)"
        )
    sizes = [int(number) for number in re.findall(r"\d+", text)]
    if text.startswith("varchar") and sizes and sizes[0] > MAX_TEXT_BYTES:
        raise ValueError(f"{text} is more than a text can have on every engine, {MAX_TEXT_BYTES} bytes")
    if (text.startswith("decimal") and not sizes[1] <= sizes[0] <= 38) or sizes[:1] == [0]:
        raise ValueError(
            f"{text}: a decimal has 1 to 38 digits, of which not more than all stand behind the point"
        )
    return text


def _field_path(text: str) -> str:
    if not all(text.split(".")) or set(text) & set('"\\*'):
        raise ValueError(
            f"{text!r} is not the way to a field: write its name, or outer.inner for a nested one, "
            'and none that has a ", \\ or *'
        )
    return text


def _month(value: Any) -> Month:
    return value if isinstance(value, Month) else Month.parse(str(value))


Name = Annotated[str, AfterValidator(_identifier)]
ColumnName = Annotated[Name, AfterValidator(_no_system_column)]
SchemaName = Annotated[Name, AfterValidator(_no_system_schema)]
NeutralType = Annotated[str, AfterValidator(_neutral_type)]
FieldPath = Annotated[str, AfterValidator(_field_path)]
Unit = Literal["seconds", "milliseconds", "microseconds"]
Encoding = Literal[
    "raw", "az64", "bytedict", "delta", "delta32k", "lzo", "mostly8", "mostly16", "mostly32", "runlength", "text255",
    "text32k", "zstd",
]  # fmt: skip
MonthText = Annotated[Month, BeforeValidator(_month, json_schema_input_type=str)]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class DaysAfter(_Fact):
    """How many days after another column's moment one may lie."""

    column: Name
    least: int
    most: int


class Column(_Fact):
    """A column: its neutral type, and what must hold for every value."""

    name: ColumnName
    type: NeutralType
    description: str
    nullable: bool = True
    accepted_values: tuple[str | int, ...] = Field((), description="the values it may take (NULL aside)")
    range: tuple[float, float] | None = Field(None, description="smallest and largest value, both allowed")
    days_after: DaysAfter | None = Field(None, description="how long after another moment of its row it is")
    references: Name | None = Field(None, description="the dimension whose key it must be found in")
    field: FieldPath | None = Field(
        None,
        description="of a JSON source: the field it is read from, outer.inner if nested; default: its name",
    )
    unit: Unit | None = Field(None, description="of a timestamp that its source counts from 1970-01-01 UTC")

    encoding: Encoding | None = Field(
        None, description="of Redshift: how it is packed; default: as Redshift finds best"
    )

    @property
    def field_path(self) -> tuple[str, ...]:
        """The way to its field in a JSON source, from the outermost object."""
        return tuple((self.field or self.name).split("."))

    @property
    def max_bytes(self) -> int | None:
        """How many UTF-8 bytes a text may take; None for what is no text."""
        match = re.fullmatch(r"varchar\((\w+)\)", self.type)
        if not match:
            return None
        return MAX_TEXT_BYTES if match[1] == "max" else int(match[1])


class FilePattern(_Fact):
    """How the keys below the source's prefix look, and which month or day they name, if any.

    `*` matches within a folder, `**` across folders; `{year}`, `{month}` and `{day}` match digits. A row's event time
    may lie `allowed_lateness_days` days before the named month or day (rows written late), and `allowed_earliness_days` days after it.
    """

    pattern: str
    allowed_lateness_days: int = Field(0, ge=0, le=28)
    allowed_earliness_days: int = Field(0, ge=0, le=28)


class Source(_Fact):
    """A set of objects in the bucket that share one format.

    `csv`: values with a header. `json_lines`: one object a line. `json`: one document a file, an object or an array of
    objects. `parquet`: typed columns, found by their names. A source without `event_time` belongs to no month: its staging
    table is read whole when any object changed.
    """

    name: Name
    description: str
    format: Literal["csv", "json_lines", "json", "parquet"]
    prefix: str
    files: tuple[FilePattern, ...] = Field(min_length=1)
    event_time: Name | None = None
    null_values: tuple[str, ...] = Field(
        (), description="texts that stand for no value, such as the empty one"
    )
    reject_limit: float = Field(0.0, ge=0, le=1, description="share of a load's rows that may be rejected")
    on_invalid_file: Literal["fail", "reject"] = Field(
        "fail",
        description="what a Parquet file does that is damaged or has other columns: fail the load, or count as a rejected row",
    )
    max_stored_rejects: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="rejected rows of a file that are stored; further ones are only counted",
    )
    rows_per_file: int | None = Field(None, ge=1, description="warn of a file that has not as many rows")
    files_per_day: int | None = Field(None, ge=1, description="warn of a day that has not as many files")


class Table(_Fact):
    """A table of the star: a staging table read from a source, or a fact or dimension made by its SQL file.

    A table whose columns include its `event_time` is kept by month: a load replaces the slice of its months. A table
    with `sequence_by` whose columns do not is kept by key: each key's newest row over all months, by those columns of
    the SELECT, which must also give `event_time`. A table without `event_time` has no months: it is made whole, from
    tables of that kind, and keeps one row per key as well.
    """

    name: Name
    role: Literal["staging", "dimension", "fact"]
    description: str
    source: Name | None = None
    key: tuple[Name, ...] = Field((), description="unique over all months; none: rows may repeat")
    event_time: Name | None = None
    sequence_by: tuple[Name, ...] = ()
    equal_row_count: Name | None = Field(
        None, description="the table whose row count, month by month, it must have"
    )
    min_rows: int = Field(
        1,
        ge=0,
        description="a month has no fewer, if what the table is made from has any; 0: it may have none, which warns",
    )
    dist: str = Field(
        "auto",
        description="of Redshift: auto, even, all (a copy on every node), or the column by whose values rows are spread",
    )
    sort: tuple[Name, ...] = Field(
        (), description="of Redshift: the columns by which rows are sorted; none: as Redshift finds best"
    )
    partition_by: tuple[Name, ...] = Field(
        (),
        description="of the lake: the columns whose values name the folders of its files; of a table kept by month, year and month come first, and are the default",
    )
    columns: tuple[Column, ...] = Field(min_length=1)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def partitioned(self) -> bool:
        """Whether the table is kept by month (else by key, or whole)."""
        return self.event_time in self.column_names

    @property
    def unpartitioned(self) -> bool:
        """Whether the table has no months, and is made whole."""
        return self.event_time is None

    @property
    def event_time_column(self) -> str:
        """The event time of a table that has one."""
        assert self.event_time is not None, self.name
        return self.event_time

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @model_validator(mode="after")
    def _check(self) -> Table:
        names = self.column_names
        doubled = {name for name in names if names.count(name) > 1}
        if doubled:
            raise ValueError(f"table {self.name}: column {sorted(doubled)[0]} is declared twice")
        for name in self.key:
            if name not in names:
                raise ValueError(f"table {self.name}: key column {name} is not among its columns")
            if self.column(name).nullable:
                raise ValueError(f"table {self.name}: key column {name} must be declared nullable: false")
        for name in (*self.sort, *({self.dist} - {"auto", "even", "all"})):
            if name not in names:
                raise ValueError(
                    f"table {self.name}: it is sorted or distributed by {name}, which is none of its columns"
                )
        if (self.role == "staging") != (self.source is not None):
            raise ValueError(f"table {self.name}: a staging table names its source, and no other table does")
        if self.partitioned and self.column(self.event_time_column).type != "timestamp":
            raise ValueError(f"table {self.name}: event_time {self.event_time} must be a timestamp")
        if not self.partitioned and not self.unpartitioned and not (self.sequence_by and self.key):
            raise ValueError(
                f"table {self.name}: {self.event_time} is not among its columns, so it is kept by key and needs key and sequence_by"
            )
        if self.unpartitioned and self.role != "staging" and not (self.sequence_by and self.key):
            raise ValueError(
                f"table {self.name}: it has no event_time, so it is made whole and needs key and sequence_by"
            )
        self._check_reading()
        self._check_folders()
        return self

    def _check_folders(self) -> None:
        inner = self.partition_by
        if self.partitioned and inner:
            if inner[:2] != MONTH_FOLDERS:
                raise ValueError(
                    f"table {self.name}: it is kept by month, so partition_by begins with {', '.join(MONTH_FOLDERS)}"
                )
            inner = inner[2:]
        for name in inner:
            if name not in self.column_names or inner.count(name) > 1:
                raise ValueError(
                    f"table {self.name}: partition_by names {name}, which is none of its columns, or is named twice"
                )
            if (
                self.column(name).type not in ("smallint", "integer", "bigint", "date")
                and not self.column(name).max_bytes
            ):
                raise ValueError(
                    f"table {self.name}: partition_by names {name}, of type {self.column(name).type}, and a folder is named by a whole number, a date or a text"
                )
        if set(self.column_names) <= {*self.partition_by}:
            raise ValueError(
                f"table {self.name}: partition_by names all of its columns, and leaves none for the files"
            )

    def _check_reading(self) -> None:
        types = {column.name: column.type for column in self.columns}
        for column in self.columns:
            after = column.days_after
            if after and not {column.type, types.get(after.column)} <= {"date", "timestamp"}:
                raise ValueError(
                    f"table {self.name}: {column.name} is so many days after {after.column}, and both must be dates or timestamps of the table"
                )
            if column.unit and column.type != "timestamp":
                raise ValueError(f"table {self.name}: {column.name} has a unit, and must be a timestamp")
            if self.role != "staging" and (column.unit or column.field):
                raise ValueError(
                    f"table {self.name}: {column.name} says how it is read from a source, which only staging tables are"
                )
        if self.role == "staging":
            self._check_fields()

    def _check_fields(self) -> None:
        """Refuse fields that cannot be read side by side: names are the same here whose letters differ in case only."""
        taken: dict[str, str] = {}
        levels: dict[str, str] = {}
        for column in self.columns:
            way = ".".join(column.field_path)
            if way.lower() in taken:
                raise ValueError(
                    f"table {self.name}: {taken[way.lower()]} and {column.name} take the same field, or two that differ in case only"
                )
            taken[way.lower()] = column.name
            for depth in range(1, len(column.field_path)):
                level = ".".join(column.field_path[:depth])
                if levels.setdefault(level.lower(), level) != level:
                    raise ValueError(
                        f"table {self.name}: {column.name} looks into {level}, another column into {levels[level.lower()]}"
                    )
        for column in self.columns:
            for depth in range(1, len(column.field_path)):
                level = ".".join(column.field_path[:depth])
                if level.lower() in taken:
                    raise ValueError(
                        f"table {self.name}: {taken[level.lower()]} takes the field {level} as a value, and {column.name} looks into it"
                    )


class Chart(_Fact):
    """How a query's result is drawn: one bar or line per `series` over `x`."""

    kind: Literal["bar", "line"] = "bar"
    x: Name
    y: Name
    series: Name | None = None


class Query(_Fact):
    """A question of the analysts: `queries/<name>.sql`."""

    name: Name
    title: str
    chart: Chart | None = None
    as_written: bool = Field(False, description="its text runs as it stands, on every engine")


class Star(_Fact):
    """A star schema, declared: everything the engine knows about it, its SQL files aside."""

    name: Name
    description: str
    schema_name: SchemaName = Field(alias="schema")
    first_month: MonthText
    owners: tuple[str, ...] = ()
    fresh_within_days: int | None = Field(
        None, ge=1, description="warn when the newest event is older than this"
    )
    sources: tuple[Source, ...] = Field(min_length=1)
    tables: tuple[Table, ...] = Field(min_length=1)
    queries: tuple[Query, ...] = ()

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)

    @property
    def staging(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.role == "staging")

    @property
    def unpartitioned(self) -> tuple[Table, ...]:
        """The tables without months."""
        return tuple(table for table in self.tables if table.unpartitioned)

    @property
    def monthly(self) -> tuple[Table, ...]:
        """The tables with months: those kept by month, and those kept by key."""
        return tuple(table for table in self.tables if not table.unpartitioned)

    @property
    def derived(self) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.role != "staging")

    def months(self, now: Month | None = None) -> MonthRange:
        """Every month the star may hold: the first one to the current one."""
        return MonthRange(self.first_month, max(self.first_month, now or Month.current()))

    @model_validator(mode="after")
    def _check(self) -> Star:
        tables = {table.name: table for table in self.tables}
        sources = {source.name: source for source in self.sources}
        if len(tables) < len(self.tables) or len(sources) < len(self.sources):
            raise ValueError(f"star {self.name}: two tables or two sources have the same name")
        for name in sorted(tables.keys() & sources.keys()):
            raise ValueError(
                f"star {self.name}: a source and a table are both named {name}: rename one of them"
            )
        if self.queries and "report" in (tables.keys() | sources.keys()):
            raise ValueError(
                f"star {self.name}: a table or source cannot be named report, which is its report's name"
            )
        for table in self.tables:
            reserved = sorted(RESERVED.intersection(table.column_names))
            if reserved:
                raise ValueError(
                    f"table {table.name}: a column cannot be named {reserved[0]}, which the pipeline itself uses"
                )
            if table.source is not None:
                self._check_staging(table, sources)
            for column in table.columns:
                if column.references is not None:
                    self._check_reference(table, column, tables)
            if table.equal_row_count is not None and table.equal_row_count not in tables:
                raise ValueError(
                    f"table {table.name}: equal_row_count names {table.equal_row_count}, which is no table"
                )
        return self

    @staticmethod
    def _check_staging(table: Table, sources: dict[str, Source]) -> None:
        source = sources.get(table.source or "")
        if source is None:
            raise ValueError(f"table {table.name}: source {table.source} is not declared")
        if source.event_time != table.event_time or not (table.partitioned or table.unpartitioned):
            raise ValueError(
                f"table {table.name}: event_time must be {source.event_time or 'left out'}, as in source {table.source}"
            )
        if table.partitioned and table.column(table.event_time_column).nullable:
            raise ValueError(f"table {table.name}: {table.event_time} must be declared nullable: false")
        for name in table.sequence_by:
            if name not in table.column_names:
                raise ValueError(
                    f"table {table.name}: sequence_by names {name}, which is none of its columns"
                )
        _check_format(table, source)

    @staticmethod
    def _check_reference(table: Table, column: Column, tables: dict[str, Table]) -> None:
        target = tables.get(column.references or "")
        if target is None:
            raise ValueError(
                f"table {table.name}: {column.name} references {column.references}, which is no table"
            )
        if len(target.key) != 1:
            raise ValueError(
                f"table {table.name}: {column.name} references {target.name}, whose key is not a single column"
            )
        if table.unpartitioned and not target.unpartitioned:
            raise ValueError(
                f"table {table.name}: it has no months, and {column.name} references {target.name}, which has"
            )


def _check_format(table: Table, source: Source) -> None:
    """Refuse what is declared of a source, or of its table's columns, that its format or its keys have nothing of."""
    for column in table.columns:
        if source.format == "csv" and column.field:
            raise ValueError(
                f"table {table.name}: {column.name} names a field, which a csv source has none of: its header names columns"
            )
        if source.format == "parquet" and len(column.field_path) > 1:
            raise ValueError(
                f"table {table.name}: {column.name} looks into {column.field}; of a parquet source, only whole columns are read"
            )
    if source.format != "parquet" and source.on_invalid_file != "fail":
        raise ValueError(
            f"source {source.name}: on_invalid_file is for parquet sources; others reject single records"
        )
    if source.files_per_day and not all("{day}" in item.pattern for item in source.files):
        raise ValueError(f"source {source.name}: files_per_day needs file patterns that name the {{day}}")
