"""Where the runs of a command read their rows, and which scopes of a star they are due for.

The runs themselves do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scx_pipeline.cli import rendering
from scx_pipeline.cli.configured import configured_bucket, configured_warehouse
from scx_pipeline.cli.options import DueMonths, MonthSelection
from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, MonthRange, contiguous_ranges
from scx_pipeline.model.count_text import count_of
from scx_pipeline.planning.run_requests import split_scopes
from scx_pipeline.settings import Settings, redact

if TYPE_CHECKING:
    from scx_pipeline.declarations.compiled_star import CompiledStar
    from scx_pipeline.loading.changes import PendingChanges
    from scx_pipeline.planning.selection import Selection


@dataclass(frozen=True)
class RowSource:
    """Where runs read their rows, which scopes are due, and what distinguishes their jobs and tags."""

    settings: Settings
    find_scopes: Callable[[CompiledStar, Settings, MonthSelection], list[LoadScope]]
    up_to_date: str  # the message if no scope is due
    tags: Callable[[], Mapping[str, str]] = dict
    job_name: Callable[[CompiledStar, LoadScope], str] | None = None  # default: the job that loads


def object_source(settings: Settings) -> RowSource:
    """Return the source of a load from the raw objects."""
    return RowSource(settings, _find_load_scopes, "nothing to load: all months are up to date")


def lake_source(settings: Settings) -> RowSource:
    """Return the source of a load from the data lake."""

    def tags() -> Mapping[str, str]:
        from scx_pipeline.orchestration.execute import lake_tags

        return lake_tags(settings.lake)

    up_to_date = "nothing to load: all months are up to date with the lake"
    return RowSource(settings, _find_lake_scopes, up_to_date, tags)


def build_source(settings: Settings) -> RowSource:
    """Return the source of a build of the data lake from the raw objects."""

    def job_name(compiled: CompiledStar, scope: LoadScope) -> str:
        from scx_pipeline.orchestration.jobs import lake_job_name

        return lake_job_name(compiled.star, scope)

    up_to_date = "nothing to build: all months of the lake are up to date"
    return RowSource(settings, _find_build_scopes, up_to_date, job_name=job_name)


def _find_load_scopes(
    compiled: CompiledStar, settings: Settings, selection: MonthSelection
) -> list[LoadScope]:
    """Return the scopes to load from the objects, one run each; unpartitioned tables come first."""
    if isinstance(selection, MonthRange):  # loaded without comparing the bucket with what is loaded
        needed = bool(compiled.star.unpartitioned_tables) and not _has_unpartitioned(compiled, settings)
        return [UNPARTITIONED, selection] if needed else [selection]
    return _due_scopes(compiled, find_load_plan(compiled, settings), selection)


def _find_build_scopes(
    compiled: CompiledStar, settings: Settings, selection: MonthSelection
) -> list[LoadScope]:
    """Return the scopes to build, and check Spark's settings if there are any."""
    from scx_pipeline.lake.build.builder import plan_build

    planned = plan_build(compiled, configured_bucket(settings), settings.lake)
    _check_matches(compiled, settings, planned)
    scopes = _due_scopes(compiled, planned, selection)
    if scopes:
        from scx_pipeline.orchestration.resources.lake_resource import lake_resource

        lake_resource(settings).check(settings.bucket)
    return scopes


def _find_lake_scopes(
    compiled: CompiledStar, settings: Settings, selection: MonthSelection
) -> list[LoadScope]:
    """Return the scopes to load from the lake. Raises LakeError for what it does not have, or is out of date there."""
    from scx_pipeline.lake.load.lake_load_plan import plan_lake_load

    planned = plan_lake_load(compiled, settings.lake, configured_warehouse(settings))
    is_all = selection is DueMonths.ALL
    has_unpartitioned = planned.manifest.unpartitioned is not None
    unpartitioned = planned.unpartitioned or (is_all and has_unpartitioned)
    if isinstance(selection, MonthRange):
        months = list(selection.months)
    else:
        months = list(planned.all_months if is_all else planned.months)
    planned.check(unpartitioned, months)
    return [*_first(unpartitioned), *contiguous_ranges(months)]


def find_load_plan(compiled: CompiledStar, settings: Settings) -> PendingChanges:
    """Compare a star's objects with what is loaded. Raises PipelineError if the bucket has none of them."""
    from scx_pipeline.loading.changes import find_pending_changes

    planned = find_pending_changes(compiled, configured_bucket(settings), configured_warehouse(settings))
    _check_matches(compiled, settings, planned)
    return planned


def is_empty(planned: PendingChanges) -> bool:
    """Return whether a star has no objects, and nothing was ever loaded or built."""
    return not planned.selection.objects and not planned.loaded


def describe_prefixes(compiled: CompiledStar) -> str:
    """Return the prefixes of a star's objects, or their patterns at the bucket's root, as text."""
    found = (
        (f"{redact(source.url.rstrip('/'))}/{source.prefix}" if source.url else source.prefix)
        or f"its root that match {' or '.join(item.pattern for item in source.files)}"
        for source in compiled.star.sources
    )
    return ", ".join(dict.fromkeys(found))


def describe_unmatched(compiled: CompiledStar, selection: Selection) -> list[str]:
    """Return a message for each source whose prefix has objects of which no pattern matches any."""
    from scx_pipeline.declarations.star_folder import declared_at

    used = {item.source for item in selection.objects}
    messages = []
    for number, source in enumerate(compiled.star.sources):
        keys = [key for name, key in selection.ignored if name == source.name]
        if keys and source.name not in used:
            place = declared_at(compiled.folder, "sources", number, "files")
            patterns = ", ".join(item.pattern for item in source.files)
            messages.append(
                f"{place}: none of the {count_of(len(keys), 'object')} under {source.prefix} matches the files of the source "
                f"{source.name} ({patterns}), for example {min(keys)}: correct the patterns"
            )
    return messages


def _check_matches(compiled: CompiledStar, settings: Settings, planned: PendingChanges) -> None:
    """Check that a star has objects, and warn of patterns that match none. Raises PipelineError."""
    unmatched = describe_unmatched(compiled, planned.selection)
    if not is_empty(planned):
        for message in unmatched:
            rendering.err.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)
    elif unmatched:
        raise PipelineError(f"{'; '.join(unmatched)}; nothing was changed")
    else:
        raise PipelineError(
            f"the bucket {settings.bucket} has no objects under {describe_prefixes(compiled)}: upload some, or run "
            f"`scx generate {compiled.star.name}`"
        )


def _due_scopes(
    compiled: CompiledStar, planned: PendingChanges, selection: MonthSelection
) -> list[LoadScope]:
    is_all = selection is DueMonths.ALL and bool(compiled.star.unpartitioned_tables)
    first = _first(bool(planned.unpartitioned) or is_all)
    if isinstance(selection, MonthRange):
        return [*first, selection]
    if selection is DueMonths.CHANGED:
        held = {} if planned.requires_full_rebuild else planned.held
        return [*first, *split_scopes([item.month for item in planned.changed], held)]
    months = [
        month
        for month in compiled.star.months()
        if planned.selection.has_objects(month) or month in planned.loaded
    ]
    if months:
        return [*first, MonthRange(min(months), max(months))]
    return [*first] if compiled.star.unpartitioned_tables else [compiled.star.months()]


def _first(unpartitioned: bool) -> list[LoadScope]:
    return [UNPARTITIONED] if unpartitioned else []


def _has_unpartitioned(compiled: CompiledStar, settings: Settings) -> bool:
    """Return whether the unpartitioned tables were loaded before."""
    from scx_pipeline.history.history_reader import read_unpartitioned_state

    with configured_warehouse(settings).open_if_loaded() as session:
        return session is not None and read_unpartitioned_state(session, compiled.star.name) is not None
