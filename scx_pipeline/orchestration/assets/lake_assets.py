"""A star's lake as assets: the partitioned tables are built together month by month, and so are the unpartitioned ones.

How a build works, and where it runs, is not defined here.
"""

from functools import partial

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.lake.format.layout import partition_columns
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.events import LoadEvents
from scx_pipeline.orchestration.assets.metadata import uri
from scx_pipeline.orchestration.assets.multi_assets import TableGroup, table_groups
from scx_pipeline.orchestration.resources.lake_resource import LakeResource
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource


def lake_assets(compiled: CompiledStar, lake_url: str) -> list[dg.AssetsDefinition]:
    """Define the lake's partitioned tables as one multi-asset, and the unpartitioned ones as another if there are any."""
    return [_define_assets(group, lake_url) for group in table_groups(compiled, lake=True)]


def _define_assets(group: TableGroup, lake_url: str) -> dg.AssetsDefinition:
    compiled, pool = group.compiled, f"{group.compiled.star.name}_lake"

    @group.multi_asset(pool if group.is_monthly else f"{pool}_refresh", pool, partial(_spec, group, lake_url))
    def build(context: dg.AssetExecutionContext, lake: LakeResource, bucket: BucketResource) -> LoadEvents:
        scope = group.scope(context)
        load = partial(lake.build, context, compiled, bucket, scope)
        yield from group.reporter(context).report(load)

    return build


def _spec(group: TableGroup, lake_url: str, table: Table) -> dg.AssetSpec:
    folders = ", ".join(column.name for column in partition_columns(table)) or "none"
    return group.spec(
        table,
        kinds={"parquet"},
        metadata={**uri(lake_url, group.compiled.star.name, table.name), "folders": folders},
        description=f"{table.description} As Parquet in the lake, in folders by: {folders}.",
        group_name=f"{group.compiled.star.name}_lake",  # so that the whole group can be materialized at once
    )
