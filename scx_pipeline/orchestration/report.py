"""The report asset: the star's queries answered, as a table and a chart in the asset's metadata.
The queries are the star's; how they run and how a chart is drawn is in `engine.analyze`."""

import base64
from typing import Any

import dagster as dg

from scx_pipeline.engine.analyze import draw, run_query
from scx_pipeline.engine.sql import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.orchestration.metadata import asset_key
from scx_pipeline.orchestration.resources import WarehouseResource
from scx_pipeline.spec import Query
from scx_pipeline.warehouse.base import Session

SHOWN_ROWS = 200


def report_asset(compiled: CompiledStar) -> list[dg.AssetsDefinition]:
    """The star's report; none where the star declares no queries."""
    star = compiled.star
    if not star.queries:
        return []
    facts = [table.name for table in star.tables if table.role == "fact"] or [
        table.name for table in star.tables
    ]

    @dg.asset(
        key=asset_key(star.name, "report"),
        deps=[asset_key(star.name, name) for name in facts],
        description="The analysts' questions, answered: "
        + "; ".join(query.title for query in star.queries)
        + ".",
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
            raise dg.Failure(str(error), allow_retries=False) from None
        return dg.MaterializeResult(metadata=metadata)

    return [report]


def _answers(session: Session, compiled: CompiledStar) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for query in compiled.star.queries:
        frame = run_query(session, compiled, query.name)
        metadata[query.name] = _table(frame, query)
        metadata[f"{query.name}_rows"] = len(frame)
        if query.chart:
            image = base64.b64encode(draw(frame, query)).decode()
            metadata[f"{query.name}_chart"] = dg.MetadataValue.md(
                f"![{query.title}](data:image/png;base64,{image})"
            )
    return metadata


def _table(frame: Any, query: Query) -> dg.MetadataValue[Any]:
    records = [
        dg.TableRecord({name: _plain(value) for name, value in row.items()})
        for row in frame.head(SHOWN_ROWS).to_dict("records")
    ]
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(name, "int" if frame[name].dtype.kind in "iu" else "string")
            for name in frame.columns
        ]
    )
    return dg.MetadataValue.table(records, schema)


def _plain(value: Any) -> str | int | float | bool | None:
    """A pandas value as plain JSON."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, str | int | float | bool) else None if plain is None else str(plain)
