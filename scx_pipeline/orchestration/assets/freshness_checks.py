"""Freshness and volume checks as Dagster asset checks: all checks of a star in one step, with warnings only.

Blocking checks are not defined here: they run inside a load.
"""

from collections.abc import Iterator

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.orchestration.assets.events import step_failure
from scx_pipeline.orchestration.assets.metadata import asset_key
from scx_pipeline.orchestration.partitions import month_range_of
from scx_pipeline.orchestration.resources.warehouse_resources import WarehouseResource
from scx_pipeline.reporting.freshness import declared_freshness_checks, run_freshness_checks


def freshness_checks(compiled: CompiledStar) -> dg.AssetChecksDefinition:
    """Define the checks of the freshness and volume of the star's facts.

    In the run of a load, they evaluate what it loaded. A check without a result keeps its alert as it was, and is shown as skipped.
    """
    star = compiled.star

    @dg.multi_asset_check(
        name=f"{star.name}_watch",
        specs=[
            dg.AssetCheckSpec(item.name, asset=asset_key(star.name, item.table), description=item.description)
            for item in declared_freshness_checks(star)
        ],
        can_subset=True,
    )
    def check_freshness(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = context.selected_asset_check_keys
        try:
            with warehouse.open(context.log.info).open_loaded() as session:
                results = run_freshness_checks(session, star, month_range_of(context.run.tags))
        except PipelineError as error:
            raise step_failure(error) from None
        for result in results:
            key = asset_key(star.name, result.table)
            if dg.AssetCheckKey(key, result.name) in selected:
                yield dg.AssetCheckResult(
                    asset_key=key,
                    check_name=result.name,
                    passed=result.passed,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=result.message,
                )

    return check_freshness
