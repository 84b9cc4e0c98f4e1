"""A star's sources as observable assets, and its warehouse tables as multi-assets.

How a load works, and which loads are due, is not defined here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.loader import BucketLoader, Loader
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.source import Source
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.events import LoadEvents, step_failure
from scx_pipeline.orchestration.assets.metadata import asset_key, uri
from scx_pipeline.orchestration.assets.multi_assets import TableGroup, table_groups
from scx_pipeline.orchestration.partitions import monthly
from scx_pipeline.orchestration.resources.lake_resource import LakeResource
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource, WarehouseResource

# Tags of a run that loads from the lake: the one of the settings, or of a URL.
ROWS_FROM, FROM_LAKE, LAKE_URL = "scx/from", "lake", "scx/lake"
# Pools let a deployment limit the number of simultaneous runs: of everything that writes to a database with a single writer,
# and elsewhere of the loads of each star.
POOL = "warehouse"


@dataclass(frozen=True)
class Database:
    """The database that a star's tables are in, as its URL names it."""

    engine: str
    name: str
    has_single_writer: bool


def source_assets(compiled: CompiledStar, bucket_url: str) -> list[dg.AssetsDefinition]:
    """Define the star's sources as observable assets; a month's data version is the fingerprint of its objects."""
    return [_source_asset(compiled, source, bucket_url) for source in compiled.star.sources]


def _source_asset(compiled: CompiledStar, source: Source, bucket_url: str) -> dg.AssetsDefinition:
    star = compiled.star
    bucket_url = source.url or bucket_url
    store = "s3" if bucket_url.startswith("s3://") else "file"
    unpartitioned = source.event_time is None

    @dg.observable_source_asset(
        key=asset_key(star.name, source.name),
        description=source.description,
        group_name=star.name,
        partitions_def=None if unpartitioned else monthly(star),
        metadata={
            **uri(bucket_url, source.prefix),
            "prefix": source.prefix,
            "files": [item.pattern for item in source.files],
        },
        tags={f"dagster/kind/{kind}": "" for kind in (store, source.format)},
    )
    def observe(
        context: dg.OpExecutionContext, bucket: BucketResource
    ) -> dg.DataVersionsByPartition | dg.DataVersion:
        try:
            selection = list_selection(
                star,
                bucket.open(context.log.info),
                star.unpartitioned_tables if unpartitioned else star.monthly_tables,
            )
        except PipelineError as error:
            raise step_failure(error) from None
        context.log.info(
            f"{count_of(len(selection.objects), 'object')}, {len(selection.ignored):,} match no pattern of their source"
        )
        if unpartitioned:
            return dg.DataVersion(selection.unpartitioned_fingerprint)
        return dg.DataVersionsByPartition(
            {str(month): selection.fingerprint(month) for month in star.months()}
        )

    return observe  # type: ignore[return-value]


def table_assets(compiled: CompiledStar, database: Database) -> list[dg.AssetsDefinition]:
    """Define the partitioned tables as one multi-asset, and the unpartitioned ones as another if there are any."""
    return [_define_assets(group, database) for group in table_groups(compiled, lake=False)]


def _define_assets(group: TableGroup, database: Database) -> dg.AssetsDefinition:
    """Define assets that a run loads together and publishes in one transaction."""
    compiled, star = group.compiled, group.compiled.star
    name = f"{star.name}_load" if group.is_monthly else f"{star.name}_refresh"

    pool = POOL if database.has_single_writer else f"{star.name}_{POOL}"

    @group.multi_asset(name, pool, partial(_spec, group, database), can_subset=True)
    def load(
        context: dg.AssetExecutionContext,
        warehouse: WarehouseResource,
        bucket: BucketResource,
        lake: LakeResource,
    ) -> LoadEvents:
        scope, reporter = group.scope(context), group.reporter(context)

        def load_tables() -> LoadReport:
            loader = _loader(context, compiled, warehouse, bucket, lake)
            if scope is UNPARTITIONED:
                return loader.refresh(context.run_id)
            return loader.load(scope, reporter.selected, context.run_id)

        yield from reporter.report(load_tables)

    return load


def _spec(group: TableGroup, database: Database, table: Table) -> dg.AssetSpec:
    star = group.compiled.star
    return group.spec(
        table,
        kinds={database.engine, "table"},
        metadata={"dagster/table_name": f"{database.name}.{star.schema_name}.{table.name}"},
        description=table.description,
        group_name=star.name,
        freshness_policy=_freshness_policy(star, table),
    )


def _freshness_policy(star: Star, table: Table) -> dg.FreshnessPolicy | None:
    """Return the policy that a fact is loaded as often as its newest row must be new.

    Dagster fails it only if nothing was loaded for so long. That old months alone were loaded is for the check `freshness`.
    """
    if table.role != "fact" or not star.fresh_within_days:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=star.fresh_within_days))


def _loader(
    context: dg.AssetExecutionContext,
    compiled: CompiledStar,
    warehouse: WarehouseResource,
    bucket: BucketResource,
    lake: LakeResource,
) -> Loader:
    """Return the loader that the run's tags select: of the objects, or of the lake."""
    log: Callable[[str], None] = context.log.info
    tags = context.run.tags
    if ROWS_FROM not in tags:
        return BucketLoader(compiled, bucket.open(log), warehouse.open(log), log)
    if tags[ROWS_FROM] != FROM_LAKE:
        raise PipelineError(
            f"the run's tag {ROWS_FROM} is {tags[ROWS_FROM]!r}: write {FROM_LAKE}, or leave the tag out to load the objects"
        )
    return LakeLoader(compiled, tags.get(LAKE_URL) or lake.url, warehouse.open(log), log)
