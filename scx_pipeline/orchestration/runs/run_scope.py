"""What a run was to make, as alerts name it: by its job, its tags and the assets that somebody chose in the UI.
Which runs ended, and how, is read in `ended`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dagster as dg

from scx_pipeline.alerts.advice import kind_of
from scx_pipeline.alerts.facts import LOAD, REFRESH, RunScope
from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.model.calendar import UNPARTITIONED, Month, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.assets.lake_assets import lake_job_name
from scx_pipeline.orchestration.automation.sensors import refresh_name
from scx_pipeline.orchestration.partitions import PARTITION, RANGE_END, RANGE_START


def run_scope(run: dg.DagsterRun, stars: Sequence[CompiledStar]) -> RunScope:
    """What a run was to make, by its job, or by the assets that somebody chose in the UI."""
    keys = {key.to_user_string() for key in run.asset_selection or ()}
    checked = {item.asset_key.to_user_string() for item in run.asset_check_selection or ()}
    for compiled in stars:
        star = compiled.star
        jobs = _jobs(star)
        if run.job_name in jobs or _are_of(star, keys or checked):
            what, known = jobs.get(run.job_name, ("", frozenset()))
            if not what:
                what, known = _chosen(star, keys)
            tables = tuple(sorted(key.rpartition("/")[2] for key in keys & known))
            return RunScope(star.name, what, _months(run), () if keys >= known else tables)
    return RunScope("", kind_of(run.job_name), _months(run))


def _are_of(star: Star, keys: Iterable[str]) -> bool:
    keys = list(keys)
    return bool(keys) and all(key.startswith(f"{star.name}/") for key in keys)


def _roads(star: Star) -> dict[str, frozenset[str]]:
    """What runs of a star can be for, and the assets that each makes."""
    months, unpartitioned = (
        [table.name for table in star.monthly],
        [table.name for table in star.unpartitioned],
    )
    return {
        LOAD: frozenset(f"{star.name}/{name}" for name in months),
        REFRESH: frozenset(f"{star.name}/{name}" for name in unpartitioned),
        "lake_load": frozenset(f"{star.name}/lake/{name}" for name in months),
        "lake_refresh": frozenset(f"{star.name}/lake/{name}" for name in unpartitioned),
        "report": frozenset({f"{star.name}/report"}),
    }


def _jobs(star: Star) -> dict[str, tuple[str, frozenset[str]]]:
    roads = _roads(star)
    names = {
        star.name: LOAD,
        refresh_name(star): REFRESH,
        lake_job_name(star, star.months()): "lake_load",
        lake_job_name(star, UNPARTITIONED): "lake_refresh",
    }
    return {name: (what, roads[what]) for name, what in names.items()}


def _chosen(star: Star, keys: set[str]) -> tuple[str, frozenset[str]]:
    """The road that makes all the chosen assets; of several roads at once, or none, nothing more is said."""
    for what, known in _roads(star).items():
        if keys and keys <= known:
            return what, known
    return ("assets", frozenset()) if keys else ("checks", frozenset())


def _months(run: dg.DagsterRun) -> frozenset[Month]:
    """The months that a run's tags name; what is no month is left out."""
    tags = run.tags
    first = tags.get(RANGE_START) or tags.get(PARTITION, "")
    try:
        return frozenset(MonthRange(Month.parse(first), Month.parse(tags.get(RANGE_END) or first)))
    except ValueError:
        return frozenset()
