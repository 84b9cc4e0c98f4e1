"""Read the files of a case as a load does: a folder bucket, IngestJob, and a staging buffer in DuckDB.

The expected outcome belongs to the case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scx_pipeline.errors import PipelineError
from scx_pipeline.history.ingest_result import IngestResult
from scx_pipeline.loading.ingest.ingest_job import IngestJob
from scx_pipeline.loading.ingest.ingest_objects import ingest_objects
from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.planning.selection import SelectedObject
from scx_pipeline.storage.bucket import open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import in_memory_database
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.sql_text import qualified, quote, scope_condition
from scx_pipeline_tests.fuzz.case import STAR, Case
from scx_pipeline_tests.fuzz.outcome import Given, Row, differences

SCHEMA = "main"
MEMORY = "1GB"


def find_faults(case: Case, folder: Path) -> list[str]:
    """What our reader does wrong with the case; nothing where all agrees."""
    for file in case.files:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    must = [file for file in case.files if file.expected.refusal == "must"]
    may = [file for file in case.files if file.expected.refusal != "never"]
    try:
        given = read(case, folder)
    except PipelineError as error:
        message = str(error)
        if not may:
            return [f"refused, and need not be: {message}"]
        return (
            []
            if any(file.name in message for file in case.files)
            else [f"the refusal names no file: {message}"]
        )
    except Exception as error:
        return [f"{type(error).__name__}: {str(error)[:500]}"]
    if must:
        return [f"{must[0].name} was read, and must be refused: {must[0].expected.why}"]
    if set(given) != {file.name for file in case.files}:
        return [f"the files counted are {sorted(given)}"]
    return [
        f"{file.name}: {text}" for file in case.files for text in differences(file.expected, given[file.name])
    ]


def read(case: Case, folder: Path) -> dict[str, Given]:
    """What our reader makes of the files, by name."""
    bucket = open_bucket(folder.as_uri())
    objects = [SelectedObject(case.source.name, info, None) for info in bucket.list_objects("")]
    months = MonthRange(Month(1, 1), Month(9999, 11)) if case.scope is UNPARTITIONED else STAR
    job = IngestJob(bucket, case.source, case.table, case.scope, months, objects)
    with in_memory_database(Limits(MEMORY, case.threads)) as con:
        session = DuckDBSession(con)
        session.execute(session.create_table_sql(qualified(SCHEMA, case.table), case.table.columns))
        with session.tables.open_staging_buffer(SCHEMA, case.table, case.scope) as buffer:
            ingest_result = ingest_objects([job], buffer)
            return dict(_given(ingest_result, buffer, case))


def _given(ingest_result: IngestResult, buffer: Any, case: Case) -> Iterator[tuple[str, Given]]:
    rows = _rows(buffer, case)
    for number, count in enumerate(ingest_result.counts):
        lines = [row.line for row in ingest_result.rejected if row.key == count.object.info.key]
        yield (
            count.object.info.key,
            Given(
                rows.pop(number, Counter()),
                count.read,
                count.loaded,
                count.rejected,
                count.deduplicated,
                count.filtered,
                lines,
            ),
        )
    assert not rows, f"rows of files that are not there: {sorted(rows)}"


def _rows(buffer: Any, case: Case) -> dict[int, Counter[Row]]:
    columns = ", ".join(comparable(column) for column in case.table.columns)
    found = buffer.con.execute(
        f"SELECT _object, {columns} FROM {buffer.rows} WHERE {scope_condition(case.table, case.scope)}"
    )
    rows: dict[int, Counter[Row]] = {}
    while part := found.fetchmany(20_000):
        for number, *row in part:
            rows.setdefault(number, Counter())[tuple(row)] += 1
    return rows


def comparable(column: Column) -> str:
    """The column as the rules' values: timestamps and dates as counts, which Python has for every year."""
    name = quote(column.name)
    if column.type == "timestamp":
        return f"epoch_us({name})"
    return f"datediff('day', DATE '1970-01-01', {name})" if column.type == "date" else name
