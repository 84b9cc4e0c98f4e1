"""The report asset: the star's queries answered, as a table and a chart in the asset's metadata.
The queries are the star's; how they run and how a chart is drawn is in `engine.analyze`."""

import base64
from typing import Any

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.query import Query
from scx_pipeline.orchestration.assets.events import failure
from scx_pipeline.orchestration.assets.metadata import asset_key
from scx_pipeline.orchestration.resources.warehouse_resources import WarehouseResource
from scx_pipeline.reporting.queries import draw, run_query
from scx_pipeline.warehouse.session import Session

SHOWN_ROWS = 200
_KINDS = {"i": "int", "u": "int", "f": "float", "b": "bool"}


def report_asset(compiled: CompiledStar) -> list[dg.AssetsDefinition]:
    """The star's report; none where the star declares no queries."""
    star = compiled.star
    if not star.queries:
        return []
    # A load of months makes the facts last; tables without months are made on their own.
    shown = [table for table in star.derived if table.role == "fact" or table.unpartitioned] or star.tables

    @dg.asset(
        key=asset_key(star.name, "report"),
        deps=[asset_key(star.name, table.name) for table in shown],
        description="\n".join(
            ["The analysts' questions, answered:", *(f"- {item.title}" for item in star.queries)]
        ),
        group_name=star.name,
        owners=list(star.owners),
        kinds={"pandas", "matplotlib"},
        automation_condition=dg.AutomationCondition.any_deps_updated()
        & ~dg.AutomationCondition.in_progress(),
    )
    def report(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        try:
            with warehouse.open(context.log.info).reading() as session:
                metadata = _answers(session, compiled)
        except PipelineError as error:
            raise failure(error) from None
        return dg.MaterializeResult(metadata=metadata)

    return [report]


def _answers(session: Session, compiled: CompiledStar) -> dict[str, Any]:
    """Charts, then sizes, then tables, which are long. The page breaks a label at its spaces, and nowhere else."""
    frames = {query: run_query(session, compiled, query.name) for query in compiled.star.queries}
    charts = {f"{query.name} chart": _chart(frame, query) for query, frame in frames.items() if query.chart}
    sizes = {f"{query.name} rows": len(frame) for query, frame in frames.items()}
    return charts | sizes | {query.name: _table(frame, query) for query, frame in frames.items()}


def _chart(frame: Any, query: Query) -> dg.MetadataValue[Any]:
    image = base64.b64encode(draw(frame, query)).decode()
    return dg.MetadataValue.md(f"![{query.title}](data:image/png;base64,{image})")


def _table(frame: Any, query: Query) -> dg.MetadataValue[Any]:
    # What a chart has last is the newest.
    shown = frame.tail(SHOWN_ROWS) if query.chart else frame.head(SHOWN_ROWS)
    rows = shown.astype(object).where(shown.notna(), None).to_dict("records")
    records = [dg.TableRecord({name: _plain(value) for name, value in row.items()}) for row in rows]
    columns = [dg.TableColumn(name, _KINDS.get(frame[name].dtype.kind, "string")) for name in frame.columns]
    return dg.MetadataValue.table(records, dg.TableSchema(columns=columns))


def _plain(value: Any) -> str | int | float | bool | None:
    """A pandas value as plain JSON."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, str | int | float | bool) else None if plain is None else str(plain)
