"""The metadata of tables in the Dagster UI: columns, lineage, SQL, and the numbers of a load.

Nothing is computed here; declarations and load reports are only rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import DECLARATION
from scx_pipeline.history.check_result import CheckResult
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.settings import redact

PUBLISHED = "published"  # key of a result's metadata

AssetKeyOf = Callable[[str], dg.AssetKey]  # returns the asset key of a table


def asset_key(star: str, name: str) -> dg.AssetKey:
    """Return the asset key of a star's table, source or report."""
    return dg.AssetKey([star, name])


def lake_key(star: str, name: str) -> dg.AssetKey:
    """Return the asset key of a star's table in the lake."""
    return dg.AssetKey([star, "lake", name])


def column_metadata(compiled: CompiledStar, table: Table, key: AssetKeyOf) -> dict[str, Any]:
    """Return a table's columns and their lineage, for its definition and for its materializations, where catalogues read them.

    Args:
        key: Returns the asset key of a table.
    """
    metadata: dict[str, Any] = {"dagster/column_schema": _column_schema(table)}
    if table.role != "staging":
        metadata["dagster/column_lineage"] = _column_lineage(compiled, table, key)
    return metadata


def table_metadata(compiled: CompiledStar, table: Table) -> dict[str, Any]:
    """Return the metadata of a table's definition, without its columns."""
    metadata: dict[str, Any] = {"role": table.role, "key": ", ".join(table.key)}
    if table.role != "staging":
        metadata |= {
            "lineage": dg.MetadataValue.md(_lineage_markdown(compiled, table)),
            "sql": dg.MetadataValue.md(f"```sql\n{compiled.tables[table.name].text}```"),
        }
    return metadata


def code_references(compiled: CompiledStar, table: Table) -> dict[str, Any]:
    """Return links to the table's SQL file and to the declaration."""
    sql = [] if table.role == "staging" else [compiled.tables[table.name].path]
    references = [
        dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=path.name)
        for path in [*sql, compiled.folder / DECLARATION]
    ]
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}


def uri(*parts: str) -> dict[str, Any]:
    """Return the metadata of where data is: a URL, without its secrets, and folders below it."""
    url, *folders = parts
    return {"dagster/uri": "/".join([redact(url).rstrip("/"), *folders])}


def load_metadata(report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
    """Return the metadata of a materialization: the numbers of its month, none of the entire load.

    Of a staging table, they include what was read of the objects whose keys name the month. Their rows may be of other
    months, too, so these numbers need not add up to the rows of the month.
    """
    found = report.tables[table]
    metadata: dict[str, Any] = {"dagster/partition_row_count": found.rows[month]} if month else {}
    if found.total_rows is not None:
        metadata["dagster/row_count"] = found.total_rows
    if month in found.totals_by_month:
        totals = found.totals_by_month[month]
        metadata |= {
            "objects": totals.objects,
            "bytes": totals.bytes,
            "rows_read": totals.read,
            "rows_rejected": totals.rejected,
            "rows_deduplicated": totals.deduplicated,
            "rows_filtered": totals.filtered,
        }
    if found.objects_of_any_month:
        metadata["objects_of_any_month"] = found.objects_of_any_month
    if month in report.fingerprints:
        metadata["fingerprint"] = report.fingerprints[month]
    if report.stale and month is None:  # what the change of an unpartitioned table made stale
        metadata["stale_months"] = ", ".join(map(str, report.stale))
    return metadata | {"load_id": report.load_id}


def check_metadata(report: LoadReport, result: CheckResult) -> dict[str, Any]:
    """Return the metadata of a check's result: what it found, for each month that it was evaluated for."""
    metadata: dict[str, Any] = {**result.numbers}
    if result.months:
        metadata["months"] = str(MonthRange.of(result.months))
    if not report.is_published:
        metadata[PUBLISHED] = False
    if result.violations:
        metadata["violations"] = dict(result.violations)
    if result.months and (result.passed or any(str(month) in result.violations for month in result.months)):
        counts = {str(month): result.violations.get(str(month), 0) for month in result.months}
        rows = [(month, count == 0, count) for month, count in counts.items()]
        types = {"month": "string", "passed": "bool", "violations": "int"}
        metadata["by_month"] = table_value(types, rows)
    if result.examples:
        types = {"file": "string", "line": "int", "column": "string", "reason": "string"}
        metadata["examples"] = table_value(types, result.examples)
    return metadata


def table_value(types: Mapping[str, str], rows: Iterable[Sequence[object]]) -> dg.MetadataValue[Any]:
    """Render rows as a table; `types` holds the type of each column, in order."""
    columns = [dg.TableColumn(name, kind) for name, kind in types.items()]
    records = [dg.TableRecord(dict(zip(types, map(plain_value, row), strict=True))) for row in rows]
    return dg.MetadataValue.table(records, dg.TableSchema(columns=columns))


def plain_value(value: Any) -> str | int | float | bool | None:
    """Return a value as a JSON value: numbers as they are, those of pandas included, anything else as a text."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if plain is None or isinstance(plain, str | int | float) else str(plain)


def _column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=table.key == (column.name,),
                    other=list(_other_constraints(column)),
                ),
            )
            for column in table.columns
        ]
    )


def _other_constraints(column: Column) -> Iterator[str]:
    if column.accepted_values:
        yield f"one of {', '.join(map(str, column.accepted_values))}"
    if column.range:
        low, high = column.range
        yield f"from {low:.15g} to {high:.15g}"
    if column.days_after:
        after = column.days_after
        yield f"{after.least} to {after.most} days after {after.column}"
    if column.references:
        yield f"references {column.references}"


def _column_lineage(compiled: CompiledStar, table: Table, key: AssetKeyOf) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(asset_key=key(source), column_name=name) for source, name in sources]
            for column, sources in compiled.lineage(table).items()
        }
    )


def _lineage_markdown(compiled: CompiledStar, table: Table) -> str:
    """Return a table with a row per column and a column per source table; the UI would cut off qualified names."""
    rows: Mapping[str, list[tuple[str, str]]] = compiled.lineage(table)
    tables = sorted({source for sources in rows.values() for source, _ in sources})
    lines = [
        f"| column | {' | '.join(f'from {name}' for name in tables)} |",
        "|---" * (len(tables) + 1) + "|",
    ]
    for column, sources in rows.items():
        cells = [", ".join(f"`{name}`" for source, name in sources if source == origin) for origin in tables]
        lines.append(f"| `{column}` | {' | '.join(cells)} |")
    return "\n".join(lines)
