"""A star's jobs: each loads, or builds, either months or the unpartitioned tables, in the warehouse or in the lake.

What starts a job is not defined here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import dagster as dg

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.orchestration.assets.metadata import AssetKeyOf, asset_key, lake_key
from scx_pipeline.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from scx_pipeline.orchestration.partitions import monthly


def warehouse_job_name(star: Star, scope: LoadScope) -> str:
    """Return the name of the job that loads months of a star, or its unpartitioned tables."""
    return f"{star.name}_refresh_job" if scope is UNPARTITIONED else star.name


def lake_job_name(star: Star, scope: LoadScope) -> str:
    """Return the name of the job that builds months of a star's lake, or its unpartitioned tables."""
    return f"{star.name}_lake_refresh_job" if scope is UNPARTITIONED else f"{star.name}_lake_job"


def warehouse_jobs(
    compiled: CompiledStar, executor: dg.ExecutorDefinition
) -> list[UnresolvedAssetJobDefinition]:
    """Define the job that loads months, and the one for unpartitioned tables if there are any."""
    star = compiled.star
    names = [warehouse_job_name(star, scope) for scope in (star.months(), UNPARTITIONED)]
    descriptions = [
        f"Load months of {star.name}: all its partitioned tables, in one transaction.",
        f"Rebuild the unpartitioned tables of {star.name}, in one transaction.",
    ]
    return _define_jobs(star, names, descriptions, partial(asset_key, star.name), executor)


def lake_jobs(compiled: CompiledStar, executor: dg.ExecutorDefinition) -> list[UnresolvedAssetJobDefinition]:
    """Define the job that builds months of the lake, and the one for its unpartitioned tables if there are any."""
    star = compiled.star
    names = [lake_job_name(star, scope) for scope in (star.months(), UNPARTITIONED)]
    descriptions = [
        f"Build months of the lake of {star.name}: all its partitioned tables, in one commit.",
        f"Rebuild the unpartitioned tables of {star.name} in its lake, in one commit.",
    ]
    return _define_jobs(star, names, descriptions, partial(lake_key, star.name), executor)


def _define_jobs(
    star: Star,
    names: Sequence[str],
    descriptions: Sequence[str],
    key: AssetKeyOf,
    executor: dg.ExecutorDefinition,
) -> list[UnresolvedAssetJobDefinition]:
    def selection(tables: Sequence[Table]) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(key(table.name) for table in tables))

    define = partial(
        dg.define_asset_job, executor_def=executor, owners=list(star.owners), tags=dict(star.tags)
    )
    months = define(
        names[0], selection(star.monthly_tables), description=descriptions[0], partitions_def=monthly(star)
    )
    if not star.unpartitioned_tables:
        return [months]
    return [months, define(names[1], selection(star.unpartitioned_tables), description=descriptions[1])]
