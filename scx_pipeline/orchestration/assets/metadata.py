"""The metadata of tables in the Dagster UI: columns, lineage, SQL, and the numbers of a load.

Nothing is computed here; declarations and load reports are only rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.column import Column
from scx_pipeline.model.table import Table
from scx_pipeline.settings import redact

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
    """Return a link to the table's SQL file; Dagster adds the one to the declaration."""
    if table.role == "staging":
        return {}
    path = compiled.tables[table.name].path
    reference = dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=path.name)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def uri(*parts: str) -> dict[str, Any]:
    """Return the metadata of where data is: a URL, without its secrets, and folders below it."""
    url, *folders = parts
    return {"dagster/uri": "/".join([redact(url).rstrip("/"), *folders])}


def load_metadata(report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
    """Return the metadata of a materialization: the numbers of the month, then those of the entire load."""
    return _month_metadata(report, table, month) | {
        "seconds": round(report.tables[table].seconds, 3),
        **_report_metadata(report, table),
        "load_id": report.load_id,
    }


def _report_metadata(report: LoadReport, table: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"rows_of_load": sum(report.tables[table].rows.values())}
    if report.stale:
        metadata["stale_months"] = ", ".join(map(str, report.stale))
    if report.objects_by_month:
        metadata |= {
            "objects_read": report.objects,
            "bytes_read": report.bytes,
            "rows_read": report.read,
            "rows_rejected": report.rejected,
            "rows_deduplicated": report.deduplicated,
            "rows_filtered": report.filtered,
        }
    return metadata


def _month_metadata(report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
    count = "dagster/partition_row_count" if month else "dagster/row_count"
    metadata: dict[str, Any] = {count: report.tables[table].rows[month]}
    if month in report.objects_by_month:
        objects, size = report.objects_by_month[month]
        metadata |= {"objects": objects, "bytes": size, "fingerprint": report.fingerprints[month]}
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
