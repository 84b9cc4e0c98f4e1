"""A star's assets: its sources, observed, and its tables, those with months loaded together, and so those without.
What a load does is in `engine.load`; which loads are due is decided in `due`."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.lake.load.lake_loader import LakeLoader
from scx_pipeline.loading.changes import list_selection
from scx_pipeline.loading.checks import declared_checks
from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline.loading.loader import BucketLoader, Loader
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.source import Source
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.events import failure, recorded
from scx_pipeline.orchestration.assets.metadata import Key, asset_key, code_references, table_metadata
from scx_pipeline.orchestration.partitions import monthly, range_of_keys
from scx_pipeline.orchestration.resources.lake_resource import LakeResource
from scx_pipeline.orchestration.resources.warehouse_resources import BucketResource, WarehouseResource

# The run's tags by which its rows come from the lake: the one of the settings, or of a URL.
ROWS_FROM, FROM_LAKE, LAKE_URL = "scx/from", "lake", "scx/lake"
POOL = "warehouse"  # how many loads a warehouse serves at once is a deployment's to limit
NO_MONTH = (
    "no month was chosen: blocking checks run inside a load, so materialize the months they shall look at"
)


def source_assets(compiled: CompiledStar) -> list[dg.AssetsDefinition]:
    """The star's sources: assets that are observed, a month's data version being its objects' fingerprint."""
    return [_source_asset(compiled, source) for source in compiled.star.sources]


def _source_asset(compiled: CompiledStar, source: Source) -> dg.AssetsDefinition:
    star = compiled.star
    unpartitioned = source.event_time is None

    @dg.observable_source_asset(
        key=asset_key(star.name, source.name),
        description=source.description,
        group_name=star.name,
        partitions_def=None if unpartitioned else monthly(star),
        metadata={"prefix": source.prefix, "files": [item.pattern for item in source.files]},
        tags={"dagster/kind/s3": "", f"dagster/kind/{source.format}": ""},
    )
    def observe(
        context: dg.OpExecutionContext, bucket: BucketResource
    ) -> dg.DataVersionsByPartition | dg.DataVersion:
        try:
            selection = list_selection(
                star, bucket.open(context.log.info), star.unpartitioned if unpartitioned else star.monthly
            )
        except PipelineError as error:
            raise failure(error) from None
        context.log.info(
            f"{len(selection.objects):,} objects, {len(selection.ignored):,} match no pattern of their source"
        )
        if unpartitioned:
            return dg.DataVersion(selection.unpartitioned_fingerprint)
        return dg.DataVersionsByPartition(
            {str(month): selection.fingerprint(month) for month in star.months()}
        )

    return observe  # type: ignore[return-value]


def table_assets(compiled: CompiledStar, kind: str) -> list[dg.AssetsDefinition]:
    """The star's tables: those with months as one multi-asset, and those without as another, where there are any."""
    return [
        _monthly_assets(compiled, kind),
        *([_unpartitioned_assets(compiled, kind)] if compiled.star.unpartitioned else []),
    ]


def _unpartitioned_assets(compiled: CompiledStar, kind: str) -> dg.AssetsDefinition:
    """The tables without months: a run makes all of them anew and publishes them in one transaction."""
    star = compiled.star

    @dg.multi_asset(
        name=f"{star.name}_refresh",
        specs=[_spec(compiled, table, kind) for table in star.unpartitioned],
        check_specs=check_specs(compiled, star.unpartitioned, partial(asset_key, star.name)),
        backfill_policy=dg.BackfillPolicy.single_run(),  # or else no range could be launched with the months' tables
        can_subset=True,
        op_tags={"star": star.name},
        pool=POOL,
    )
    def refresh(
        context: dg.AssetExecutionContext,
        warehouse: WarehouseResource,
        bucket: BucketResource,
        lake: LakeResource,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        yield from _publish(
            context, star.name, lambda: _loader(context, compiled, warehouse, bucket, lake), UNPARTITIONED
        )

    return refresh


def _monthly_assets(compiled: CompiledStar, kind: str) -> dg.AssetsDefinition:
    """The tables with months: a run loads a span of them and publishes it in one transaction."""
    star = compiled.star

    @dg.multi_asset(
        name=f"{star.name}_load",
        specs=[_spec(compiled, table, kind) for table in star.monthly],
        check_specs=check_specs(compiled, star.monthly, partial(asset_key, star.name)),
        partitions_def=monthly(star),
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
        op_tags={"star": star.name},
        pool=POOL,
    )
    def load(
        context: dg.AssetExecutionContext,
        warehouse: WarehouseResource,
        bucket: BucketResource,
        lake: LakeResource,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if not (context.has_partition_key or context.has_partition_key_range):  # "Execute" on a check's page
            raise failure(PipelineError(NO_MONTH))
        scope = range_of_keys(context.partition_keys)
        yield from _publish(
            context, star.name, lambda: _loader(context, compiled, warehouse, bucket, lake), scope
        )

    return load


def _spec(compiled: CompiledStar, table: Table, kind: str) -> dg.AssetSpec:
    star = compiled.star
    inputs = [table.source] if table.source else sorted(compiled.reads(table))
    return dg.AssetSpec(
        key=asset_key(star.name, table.name),
        deps=[asset_key(star.name, name) for name in inputs],
        description=table.description,
        group_name=star.name,
        owners=list(star.owners),
        kinds={kind, "table"},
        code_version=compiled.code_version(table),
        metadata={"dagster/table_name": f"dev.{star.schema_name}.{table.name}"}
        | table_metadata(compiled, table, partial(asset_key, star.name))
        | code_references(compiled, table),
        tags={"role": table.role},
    )


def check_specs(compiled: CompiledStar, tables: Sequence[Table], key: Key) -> list[dg.AssetCheckSpec]:
    """The checks that are declared of these tables, wherever they stand; `key` gives their assets there."""
    names = {table.name for table in tables}
    return [
        dg.AssetCheckSpec(check.name, asset=key(check.table), description=check.description, blocking=True)
        for check in declared_checks(compiled.star)
        if check.table in names
    ]


def _loader(
    context: dg.AssetExecutionContext,
    compiled: CompiledStar,
    warehouse: WarehouseResource,
    bucket: BucketResource,
    lake: LakeResource,
) -> Loader:
    """The road that the run's tags say: from the objects, or from the lake."""
    log: Callable[[str], None] = context.log.info
    tags = context.run.tags
    if ROWS_FROM not in tags:
        return BucketLoader(compiled, bucket.open(log), warehouse.open(log), log)
    if tags[ROWS_FROM] != FROM_LAKE:
        raise PipelineError(
            f"the run's tag {ROWS_FROM} is {tags[ROWS_FROM]!r}: write {FROM_LAKE}, or leave the tag out to load the objects"
        )
    return LakeLoader(compiled, tags.get(LAKE_URL) or lake.url, warehouse.open(log), log)


def _publish(
    context: dg.AssetExecutionContext, star: str, open_road: Callable[[], Loader], scope: LoadScope
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    selected = {key.path[-1] for key in context.selected_asset_keys}

    def work() -> LoadReport:
        loader = open_road()
        return loader.load(scope, selected, context.run_id) if scope else loader.refresh(context.run_id)

    yield from recorded(context, work, selected, partial(asset_key, star))
