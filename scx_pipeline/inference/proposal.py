"""Propose a star from sample files: read them, guess their columns and their months, and design the star.

Writing its folder does not belong here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scx_pipeline.errors import SourceFileError
from scx_pipeline.inference.column_types import TypeGuesser
from scx_pipeline.inference.guess import Choices, Guess
from scx_pipeline.inference.object_patterns import ObjectPattern, guess_pattern
from scx_pipeline.inference.sample_cases import Row, read_masked_rows
from scx_pipeline.inference.sample_rows import FILE, SampleRows, read_samples
from scx_pipeline.inference.samples import with_nullability
from scx_pipeline.inference.star_design import StarDesign, StarDesigner, find_rule_candidates
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.dialect import DEFAULT_DIALECT, Dialect
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.parsing.csv.dialect_texts import DialectTexts
from scx_pipeline.planning.key_patterns import match_key
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.warehouse.sql_text import quote

if TYPE_CHECKING:
    import duckdb

NOTHING_CHOSEN = Choices()
MAX_DAYS = 28  # that a row may lie before or after the day that its object's key names


@dataclass(frozen=True)
class Proposal:
    """A proposed star: its source's declaration, its design, the months of its samples, and the guesses."""

    source: dict[str, Any]
    design: StarDesign
    first_month: Month
    last_month: Month
    rows: int
    guesses: Sequence[Guess]
    omitted: Sequence[str]
    sample_rows: Sequence[Row]  # masked
    rule_candidates: Mapping[str, Mapping[str, Any]]


def propose_star(
    con: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[LocalFile],
    keys: Sequence[str],
    choices: Choices = NOTHING_CHOSEN,
) -> Proposal:
    """Propose a star from sample files.

    Args:
        con: A connection to an empty database.
        name: The star's name.
        files: The files to read.
        keys: The keys of all files, from which the patterns are guessed.
        choices: What is not guessed.

    Raises:
        SourceFileError: The files cannot be read, or are not of one format.
        DeclarationError: A chosen column does not exist, or cannot be the event time.
    """
    found = read_samples(con, files)
    if not found.samples.rows:
        raise SourceFileError(f"{files[0].object.key}: the file has no rows: name files with rows")
    guesser = TypeGuesser(found.samples, found.dialect, has_forms=found.format == "csv")
    columns = with_nullability(found.samples, guesser.guess_columns(), guesser.null_values)
    design = StarDesigner(found.samples, columns, name, choices).run(guesser.dialect, guesser.null_values)
    guesses = [
        Guess("format", found.format, _describe(found, guesser.dialect), found.share),
        *guesser.guesses,
        *_null_values(guesser),
        *_header(found),
        *design.guesses,
    ]
    times = _event_times(found, guesser, design)
    pattern, late, early = _months(files, times, guess_pattern(keys))
    source = {
        "name": f"{name}_files",
        "description": f"The files that {name} was proposed from, and those like them.",
        "format": found.format,
        **_dialect(guesser.dialect if found.format == "csv" else DEFAULT_DIALECT),
        "prefix": pattern.prefix,
        "files": [{"pattern": pattern.pattern, **late, **early}],
        **({"event_time": design.event_time} if design.event_time else {}),
        **({"null_values": list(guesser.null_values)} if guesser.null_values else {}),
    }
    if design.event_time:
        months = "from the keys" if pattern.names_month else "from the event time alone"
        guesses.append(Guess("months", months, f"pattern {pattern.prefix}{pattern.pattern}"))
    now = datetime.now(UTC)
    first = min((low for low, _ in times.values()), default=now)
    last = max((high for _, high in times.values()), default=now)
    rows = read_masked_rows(found.samples, design.columns, guesser.dialect, guesser.null_values)
    candidates = find_rule_candidates(found.samples, design.columns, design.key)
    first_month, last_month = Month.of(first), Month.of(last)
    return Proposal(
        source, design, first_month, last_month, found.samples.rows, guesses, found.omitted, rows, candidates
    )


def _header(found: SampleRows) -> list[Guess]:
    if found.format != "csv" or found.dialect.header is True:
        return []
    return [Guess("header", "none", "the first line looks like a row: name the columns in defs.yaml")]


def _null_values(guesser: TypeGuesser) -> list[Guess]:
    if not guesser.null_values:
        return []
    listed = ", ".join(map(repr, guesser.null_values))
    return [
        Guess("null values", listed, "texts in columns of numbers, times or booleans; NULL in every column")
    ]


def _describe(found: SampleRows, dialect: Dialect) -> str:
    if found.format != "csv":
        return f"{found.samples.rows:,} rows"
    declared = ", ".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in _dialect(dialect).get("dialect", {}).items()
    )
    return f"{found.samples.rows:,} rows, {declared or 'with commas and a header'}"


def _dialect(dialect: Dialect) -> dict[str, Any]:
    declared = dialect.model_dump(mode="json", exclude_defaults=True)
    return {"dialect": declared} if declared else {}


def _event_times(
    found: SampleRows, guesser: TypeGuesser, design: StarDesign
) -> dict[int, tuple[datetime, datetime]]:
    """Return the first and the last event time of each file, by its number."""
    if not design.event_time:
        return {}
    place = [column.name for column in design.columns].index(design.event_time)
    column, field = design.columns[place], found.samples.fields[place]
    texts = f"(SELECT {field.texts} AS {quote(column.name)}, {FILE} FROM {found.samples.table})"
    rows = DialectTexts([column], guesser.dialect).select_typed(texts, FILE, guesser.null_values)
    name = quote(column.name)
    return {
        number: (first, last)
        for number, first, last in found.samples.con.execute(
            f"SELECT {FILE}, min({name}), max({name}) FROM ({rows}) GROUP BY 1"
        ).fetchall()
    }


def _months(
    files: Sequence[LocalFile], times: dict[int, tuple[datetime, datetime]], pattern: ObjectPattern
) -> tuple[ObjectPattern, dict[str, int], dict[str, int]]:
    """Return the pattern, and by how many days rows may lie before and after what the keys name, as the samples do."""
    if not pattern.names_month:
        return pattern, {}, {}
    late = early = timedelta(0)
    files_pattern = (FilePattern(pattern=pattern.pattern),)
    source = Source(name="x", description="", format="csv", prefix=pattern.prefix, files=files_pattern)
    for number, (first, last) in times.items():
        match = match_key(source, files[number].object.key)
        if match is None or match.months is None:
            return pattern.without_month, {}, {}
        start, end = match.months.start, match.months.end
        if match.day:
            start = datetime(match.day.year, match.day.month, match.day.day)
            end = start + timedelta(days=1)
        late, early = max(late, start - first), max(early, last - end + timedelta(microseconds=1))
    if not times or max(late, early) > timedelta(days=MAX_DAYS):
        return pattern.without_month, {}, {}
    days = [-(-gap // timedelta(days=1)) for gap in (late, early)]
    return (
        pattern,
        {"allowed_lateness_days": days[0]} if days[0] else {},
        {"allowed_earliness_days": days[1]} if days[1] else {},
    )
