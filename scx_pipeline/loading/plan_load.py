"""How a requested load is planned: from what its source and its target hold when the load has started.

What a plan contains does not belong here.
"""

from __future__ import annotations

from collections.abc import Collection

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.errors import PipelineError
from scx_pipeline.loading.held_months import UnsolvedConflictError
from scx_pipeline.loading.load_plan import (
    LOAD,
    LOAD_FROM_STAGING,
    REBUILD_MONTHS,
    REFRESH,
    LoadPlan,
    RequestedLoad,
)
from scx_pipeline.loading.sources.load_source import LoadSource
from scx_pipeline.loading.targets.target import LoadTarget
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange
from scx_pipeline.model.star import Star
from scx_pipeline.model.table import Table
from scx_pipeline.planning.added_objects import AddedObjects, find_added_objects
from scx_pipeline.planning.changed_months import unsolved_conflicts
from scx_pipeline.planning.selection import Selection


def plan_load(
    request: RequestedLoad, compiled: CompiledStar, source: LoadSource, target: LoadTarget
) -> LoadPlan:
    """Plan a load, given what its source and its target hold now.

    The source is listed inside the transaction: a load that waited for another must not publish an older state.

    Raises:
        UnsolvedConflictError: months were held because of other months, and neither have changed since.
        PipelineError: the source cannot be listed, or the tables cannot be built from the current staging rows.
    """
    staging = [table for table in compiled.star.staging_tables if table.name in request.tables]
    if request.scope is UNPARTITIONED:
        return LoadPlan(request, REFRESH, source.select(request.scope, staging))
    if staging:
        selection = source.select(request.scope, staging)
        _check_conflicts(request.scope, selection, compiled, target)
        return LoadPlan(request, LOAD, selection, _find_additions(request, selection, compiled, target))
    _check_staging_rows(request, request.scope, compiled, target)
    return LoadPlan(request, LOAD_FROM_STAGING, None)


def _find_additions(
    request: RequestedLoad, selection: Selection, compiled: CompiledStar, target: LoadTarget
) -> AddedObjects | None:
    """Return what was added to the months of a load of all tables; None if everything must be read."""
    scope = request.scope
    if not target.has_history:  # or one of another application, which is refused when tables are prepared
        return None
    if scope is UNPARTITIONED or request.reads_all or len(request.tables) < len(compiled.star.monthly_tables):
        return None
    loaded = target.read_months()
    versions = (compiled.version, compiled.declaration_version)
    states = [loaded[month] for month in scope if month in loaded]
    if len(states) < len(scope.months) or any(
        (state.code_version, state.declaration_version) != versions for state in states
    ):
        return None  # without reading more of the history, which takes as long as a small load on a server
    stale = target.read_stale()
    if any(month in stale for month in scope):
        return None
    return find_added_objects(selection, scope, loaded, compiled.version, target.read_objects())


def _check_conflicts(
    scope: MonthRange, selection: Selection, compiled: CompiledStar, target: LoadTarget
) -> None:
    """Raise UnsolvedConflictError for months that conflict with held months that this load does not read."""
    unsolved = unsolved_conflicts(selection, scope, compiled.version, target.read_held())
    if unsolved:
        raise UnsolvedConflictError(compiled.star.name, unsolved)


def plan_rebuild(plan: LoadPlan, scope: MonthRange, compiled: CompiledStar) -> LoadPlan:
    """Plan the rebuild of months whose rows depend on the unpartitioned tables, as a part of their refresh."""
    names = compiled.downstream({table.name for table in compiled.unpartitioned_dependents()})
    return LoadPlan(RequestedLoad(scope, frozenset(names), plan.request.run_id), REBUILD_MONTHS, None)


def _check_staging_rows(
    request: RequestedLoad, scope: MonthRange, compiled: CompiledStar, target: LoadTarget
) -> None:
    """Check that the current staging rows of all months exist. Raises PipelineError."""
    star, listed = compiled.star, ", ".join(sorted(request.tables))
    loaded = target.read_months()
    missing = [month for month in scope if month not in loaded]
    if missing:
        raise PipelineError(
            f"{missing[0]} of {star.name} was never loaded, so {listed} cannot be built from it: "
            "load all tables of the star for that month first"
        )
    purged = target.read_purged_months([table.name for table in _staging_inputs(request, compiled)])
    missing = [month for month in scope if month in purged]
    if missing:
        raise PipelineError(
            f"the staging rows of {missing[0]} of {star.name} have been purged (SCX_KEEP_STAGING_MONTHS), so "
            f"{listed} cannot be built from them: load all tables of the star for that month instead"
        )


def _staging_inputs(request: RequestedLoad, compiled: CompiledStar) -> list[Table]:
    """Return the staging tables that the requested tables are built from."""
    inputs = {
        name
        for table in compiled.build_order
        if table.name in request.tables
        for name in compiled.inputs_of(table)
    }
    return [table for table in compiled.star.staging_tables if table.name in inputs]


def tables_to_build(compiled: CompiledStar, tables: Collection[str] | None) -> frozenset[str]:
    """Return the names of these monthly tables and all that depend on them; without tables, of all monthly tables.

    Raises:
        PipelineError: one of them is not a monthly table of the star.
    """
    star = compiled.star
    known = [table.name for table in star.monthly_tables]
    for name in tables or ():
        if name in [table.name for table in star.unpartitioned_tables]:
            raise PipelineError(f"{name} of {star.name} is unpartitioned: refresh it instead")
        if name not in known:
            raise PipelineError(f"{name} is not a table of {star.name}, which has: {', '.join(known)}")
    return frozenset(compiled.downstream(set(tables or known)))


def check_month_range(star: Star, scope: MonthRange) -> None:
    """Check that all months belong to the star. Raises PipelineError."""
    months = star.months()
    for month in (scope.first, scope.last):
        if month not in months:
            raise PipelineError(
                f"{month} is not a month of {star.name}, which goes from {months.first} to {months.last} (the current month, UTC)"
            )
