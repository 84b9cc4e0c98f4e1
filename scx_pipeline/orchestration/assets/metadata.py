"""What people see of a table in the Dagster UI: its columns, lineage, SQL, and the numbers of a load.
Nothing here computes a number; loads and declarations are only rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.table import Table

Key = Callable[[str], dg.AssetKey]  # a table's asset


def asset_key(star: str, name: str) -> dg.AssetKey:
    """The key of a star's table or source."""
    return dg.AssetKey([star, name])


def lake_key(star: str, name: str) -> dg.AssetKey:
    """The key of a star's table in the lake."""
    return dg.AssetKey([star, "lake", name])


def table_metadata(compiled: CompiledStar, table: Table, key: Key) -> dict[str, Any]:
    """What is known of a table before any load, wherever it stands; `key` gives the assets of tables there."""
    metadata: dict[str, Any] = {
        "dagster/column_schema": _column_schema(table),
        "role": table.role,
        "key": ", ".join(table.key),
    }
    if table.role != "staging":
        metadata |= {
            "dagster/column_lineage": _column_lineage(compiled, table, key),
            "lineage": dg.MetadataValue.md(_lineage_markdown(compiled, table)),
            "sql": dg.MetadataValue.md(f"```sql\n{compiled.tables[table.name].text}```"),
        }
    return metadata


def code_references(compiled: CompiledStar, table: Table) -> dict[str, Any]:
    """The link from the table's page to its SQL file; Dagster adds the one to the declaration."""
    if table.role == "staging":
        return {}
    path = compiled.tables[table.name].path
    reference = dg.LocalFileCodeReference(file_path=str(path), line_number=1, label=path.name)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def load_metadata(report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
    """What the UI shows of a table's month after a load: the month's numbers, then those of the whole load."""
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
            "rows_of_other_months": report.filtered,
        }
    return metadata


def _month_metadata(report: LoadReport, table: str, month: Month | None) -> dict[str, Any]:
    count = "dagster/partition_row_count" if month else "dagster/row_count"
    metadata: dict[str, Any] = {count: report.tables[table].rows[month]}
    if month in report.objects_by_month:
        objects, size = report.objects_by_month[month]
        metadata |= {"objects": objects, "bytes": size, "fingerprint": report.fingerprints[month]}
    return metadata


def _column_schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, unique=table.key == (column.name,)
                ),
            )
            for column in table.columns
        ]
    )


def _column_lineage(compiled: CompiledStar, table: Table, key: Key) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(asset_key=key(source), column_name=name) for source, name in sources]
            for column, sources in compiled.lineage(table).items()
        }
    )


def _lineage_markdown(compiled: CompiledStar, table: Table) -> str:
    """A row per column, and a column per table it is made from: narrower than full names, which the page cuts off."""
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
