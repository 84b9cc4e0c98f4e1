"""Observations of sources: the fingerprints of the months that a sensor requests, as data versions, without a run.

Which months are requested is not decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import dagster as dg

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.source import Source
from scx_pipeline.model.star import Star
from scx_pipeline.orchestration.assets.metadata import asset_key
from scx_pipeline.orchestration.dagster_internals import DATA_VERSION_TAG, latest_data_versions
from scx_pipeline.planning.run_requests import LoadUnit
from scx_pipeline.planning.selection import Selection

# Of one tick, the newest months first: the daemon stores them one by one, which takes up to 60 ms each on a busy disk, before it
# launches the runs.
MAX_OBSERVATIONS = 100


def observe_sources(
    instance: dg.DagsterInstance, star: Star, selection: Selection, units: Collection[LoadUnit]
) -> list[dg.AssetObservation]:
    """Return what the sources' own observations would record for these months, unless the instance has it already."""
    found: list[dg.AssetObservation] = []
    for source in star.sources if units else ():
        found += _observe_source(
            instance, asset_key(star.name, source.name), _versions(source, selection, units)
        )
    return sorted(found, key=lambda item: item.partition or "", reverse=True)[:MAX_OBSERVATIONS]


def _versions(source: Source, selection: Selection, units: Collection[LoadUnit]) -> dict[str | None, str]:
    """Return the data versions of the source's months, or of the whole source if it is unpartitioned."""
    if source.event_time is None:
        return {None: selection.unpartitioned_fingerprint} if UNPARTITIONED in units else {}
    return {str(unit): selection.fingerprint(unit) for unit in units if unit is not UNPARTITIONED}


def _observe_source(
    instance: dg.DagsterInstance, key: dg.AssetKey, versions: dict[str | None, str]
) -> Iterator[dg.AssetObservation]:
    known = latest_data_versions(instance, key) if versions else {}
    for partition, version in versions.items():
        if known.get(partition) != version:
            yield dg.AssetObservation(key, partition=partition, tags={DATA_VERSION_TAG: version})
