"""The report asset: the results of the star's queries as tables and charts in the asset's metadata.

How queries run and charts are drawn is not defined here.
"""

import base64
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.query import Query
from scx_pipeline.orchestration.assets.events import step_failure
from scx_pipeline.orchestration.assets.metadata import asset_key, table_value
from scx_pipeline.orchestration.resources.warehouse_resources import WarehouseResource
from scx_pipeline.reporting.queries import draw, run_query
from scx_pipeline.warehouse.session import Session

MAX_ROWS = 200
_TYPES = {"i": "int", "u": "int", "f": "float", "b": "bool"}


def report_asset(compiled: CompiledStar) -> list[dg.AssetsDefinition]:
    """Define the star's report; the list is empty if the star declares no queries."""
    star = compiled.star
    if not star.queries:
        return []
    # Facts are the last tables that a load of months updates; unpartitioned tables are loaded by runs of their own.
    inputs = [
        table for table in star.derived_tables if table.role == "fact" or table.is_unpartitioned
    ] or star.tables

    @dg.asset(
        key=asset_key(star.name, "report"),
        deps=[asset_key(star.name, table.name) for table in inputs],
        description="\n".join(
            ["Results of the star's queries:", *(f"- {item.title}" for item in star.queries)]
        ),
        group_name=star.name,
        owners=list(star.owners),
        kinds={"pandas", "matplotlib"},
        automation_condition=dg.AutomationCondition.any_deps_updated()
        & ~dg.AutomationCondition.in_progress(),
    )
    def report(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        try:
            with warehouse.open(context.log.info).open_loaded() as session:
                metadata = _report_metadata(session, compiled)
        except PipelineError as error:
            raise step_failure(error) from None
        return dg.MaterializeResult(metadata=metadata)

    return [report]


def _report_metadata(session: Session, compiled: CompiledStar) -> dict[str, Any]:
    """Return charts, then row counts, then tables, which are long. Labels have spaces since the UI wraps them only there."""
    frames = {query: run_query(session, compiled, query.name) for query in compiled.star.queries}
    charts = {f"{query.name} chart": _chart(frame, query) for query, frame in frames.items() if query.chart}
    sizes = {f"{query.name} rows": len(frame) for query, frame in frames.items()}
    return charts | sizes | {query.name: _table(frame, query) for query, frame in frames.items()}


def _chart(frame: Any, query: Query) -> dg.MetadataValue[Any]:
    image = base64.b64encode(draw(frame, query)).decode()
    return dg.MetadataValue.md(f"![{query.title}](data:image/png;base64,{image})")


def _table(frame: Any, query: Query) -> dg.MetadataValue[Any]:
    # The last rows of a chart are the newest.
    shown = frame.tail(MAX_ROWS) if query.chart else frame.head(MAX_ROWS)
    types = {name: _TYPES.get(frame[name].dtype.kind, "string") for name in frame.columns}
    return table_value(types, shown.astype(object).where(shown.notna(), None).to_numpy().tolist())
