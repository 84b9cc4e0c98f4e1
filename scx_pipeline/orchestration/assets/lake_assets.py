"""A star's lake as assets: its tables, built together month by month, and those without months; their jobs.
What a build does is in the lake package; where it runs, in `lake_resource`."""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.lake.format.layout import folders_of
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.events import failure, recorded
from scx_pipeline.orchestration.assets.metadata import asset_key, code_references, lake_key, table_metadata
from scx_pipeline.orchestration.assets.table_assets import NO_MONTH, check_specs
from scx_pipeline.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from scx_pipeline.orchestration.partitions import monthly, range_of_keys
from scx_pipeline.orchestration.resources.lake_resource import LakeResource
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource


def lake_assets(compiled: CompiledStar) -> list[dg.AssetsDefinition]:
    """The lake's tables with months as one multi-asset, and those without as another, where there are any."""
    return [_monthly(compiled), *([_whole(compiled)] if compiled.star.unpartitioned else [])]


def _monthly(compiled: CompiledStar) -> dg.AssetsDefinition:
    star = compiled.star

    @dg.multi_asset(
        name=f"{star.name}_lake",
        specs=[_spec(compiled, table) for table in star.monthly],
        check_specs=check_specs(compiled, star.monthly, partial(lake_key, star.name)),
        partitions_def=monthly(star),
        backfill_policy=dg.BackfillPolicy.single_run(),
        op_tags={"star": star.name},
        pool=f"{star.name}_lake",
    )
    def build(
        context: dg.AssetExecutionContext, lake: LakeResource, bucket: BucketResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if not (context.has_partition_key or context.has_partition_key_range):  # "Execute" on a check's page
            raise failure(PipelineError(NO_MONTH))
        yield from _build(context, compiled, lake, bucket, range_of_keys(context.partition_keys))

    return build


def _whole(compiled: CompiledStar) -> dg.AssetsDefinition:
    star = compiled.star

    @dg.multi_asset(
        name=f"{star.name}_lake_refresh",
        specs=[_spec(compiled, table) for table in star.unpartitioned],
        check_specs=check_specs(compiled, star.unpartitioned, partial(lake_key, star.name)),
        backfill_policy=dg.BackfillPolicy.single_run(),
        op_tags={"star": star.name},
        pool=f"{star.name}_lake",
    )
    def refresh(
        context: dg.AssetExecutionContext, lake: LakeResource, bucket: BucketResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        yield from _build(context, compiled, lake, bucket, UNPARTITIONED)

    return refresh


def _spec(compiled: CompiledStar, table: Table) -> dg.AssetSpec:
    star = compiled.star
    source = [asset_key(star.name, table.source)] if table.source else []
    tables = [lake_key(star.name, name) for name in sorted(compiled.reads(table))] if not table.source else []
    folders = ", ".join(column.name for column in folders_of(table)) or "none"
    known = table_metadata(compiled, table, partial(lake_key, star.name))
    return dg.AssetSpec(
        key=lake_key(star.name, table.name),
        deps=[*source, *tables],
        description=f"{table.description} As Parquet in the lake, in folders by: {folders}.",
        group_name=f"{star.name}_lake",  # so that all of a group can be materialized at once
        owners=list(star.owners),
        kinds={"parquet"},
        code_version=compiled.code_version(table),
        metadata=known | code_references(compiled, table) | {"folders": folders},
        tags={"role": table.role},
    )


def _build(
    context: dg.AssetExecutionContext,
    compiled: CompiledStar,
    lake: LakeResource,
    bucket: BucketResource,
    scope: LoadScope,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    key = partial(lake_key, compiled.star.name)
    yield from recorded(context, lambda: lake.build(context, compiled, bucket, scope), None, key)


def lake_job_name(star: Star, scope: LoadScope) -> str:
    """The name of the job that builds months of a star's lake, or its tables without months."""
    return f"{star.name}_lake_job" if scope else f"{star.name}_lake_refresh_job"


def lake_jobs(compiled: CompiledStar) -> list[UnresolvedAssetJobDefinition]:
    """The job that builds months of the lake, and the one for its tables without months, where there are any."""
    star = compiled.star

    def selection(tables: Sequence[Table]) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(lake_key(star.name, table.name) for table in tables))

    months = dg.define_asset_job(
        lake_job_name(star, star.months()),
        selection=selection(star.monthly),
        description=f"Build months of the lake of {star.name}: all its tables that have months, in one commit.",
        partitions_def=monthly(star),
    )
    if not star.unpartitioned:
        return [months]
    refresh = dg.define_asset_job(
        lake_job_name(star, UNPARTITIONED),
        selection=selection(star.unpartitioned),
        description=f"Make the tables of {star.name} that have no months anew in its lake, in one commit.",
    )
    return [months, refresh]
