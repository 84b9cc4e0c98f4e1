"""What a run was requested to do, as alerts name it: derived from its job, its tags and its selected assets.

Whether it succeeded does not matter here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from scx_pipeline.alerts.advice import public_kind
from scx_pipeline.alerts.observations import LOAD, REFRESH, RunScope
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import UNPARTITIONED, Month
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.jobs import lake_job_name, warehouse_job_name
from scx_pipeline.orchestration.partitions import month_range_of


def run_scope(run: dg.DagsterRun, stars: Sequence[CompiledStar]) -> RunScope:
    """Return what a run was requested to do, by its job, or by the assets that were selected in the UI."""
    keys = {key.to_user_string() for key in run.asset_selection or ()}
    checked = {item.asset_key.to_user_string() for item in run.asset_check_selection or ()}
    for compiled in stars:
        star = compiled.star
        jobs = _jobs(star)
        if run.job_name in jobs or _belong_to(star, keys or checked):
            work, known = jobs.get(run.job_name, ("", frozenset()))
            if not work:
                work, known = _selected_work(star, keys)
            tables = tuple(sorted(key.rpartition("/")[2] for key in keys & known))
            return RunScope(star.name, work, _months(run), () if keys >= known else tables)
    return RunScope("", public_kind(run.job_name), _months(run))


def _belong_to(star: Star, keys: Iterable[str]) -> bool:
    keys = list(keys)
    return bool(keys) and all(key.startswith(f"{star.name}/") for key in keys)


def _assets_by_work(star: Star) -> dict[str, frozenset[str]]:
    """Return the kinds of work of a star's runs, with the assets that each materializes."""
    months, unpartitioned = (
        [table.name for table in star.monthly_tables],
        [table.name for table in star.unpartitioned_tables],
    )
    return {
        LOAD: frozenset(f"{star.name}/{name}" for name in months),
        REFRESH: frozenset(f"{star.name}/{name}" for name in unpartitioned),
        "lake_load": frozenset(f"{star.name}/lake/{name}" for name in months),
        "lake_refresh": frozenset(f"{star.name}/lake/{name}" for name in unpartitioned),
        "report": frozenset({f"{star.name}/report"}),
    }


def _jobs(star: Star) -> dict[str, tuple[str, frozenset[str]]]:
    assets = _assets_by_work(star)
    names = {
        warehouse_job_name(star, star.months()): LOAD,
        warehouse_job_name(star, UNPARTITIONED): REFRESH,
        lake_job_name(star, star.months()): "lake_load",
        lake_job_name(star, UNPARTITIONED): "lake_refresh",
    }
    return {name: (work, assets[work]) for name, work in names.items()}


def _selected_work(star: Star, keys: set[str]) -> tuple[str, frozenset[str]]:
    """Return the work that materializes all selected assets, or a generic name if there is no such work."""
    for work, known in _assets_by_work(star).items():
        if keys and keys <= known:
            return work, known
    return ("assets", frozenset()) if keys else ("checks", frozenset())


def _months(run: dg.DagsterRun) -> frozenset[Month]:
    """Return the months that a run's tags name; empty if they are not months."""
    return frozenset(month_range_of(run.tags) or ())
