"""The months that a load is due for, and why: their objects or the star's code changed, or they are stale.

Reading the load history does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.selection import Selection


@dataclass(frozen=True)
class MonthState:
    """What the rows of a month, or of the unpartitioned tables, were built from, as the load history records it."""

    fingerprint: str
    code_version: str
    # The version of the star's declaration when the month was loaded. Only a warehouse records it, and it makes no month due.
    declaration_version: str = field(default="", compare=False)


@dataclass(frozen=True)
class HeldMonth:
    """A month that a load could not publish: the objects and code that it would have been built from, and why.

    `conflicts` are the months that violate a check together with it, such as by a key that is in both.
    """

    state: MonthState
    reason: str
    conflicts: tuple[Month, ...] = ()


@dataclass(frozen=True)
class ChangedMonth:
    """A month that a load is due for, and why; `held` says why the last load of the same objects did not publish it.

    `resolved` are the months because of which it was held, if all of them have changed since.
    """

    month: Month
    reason: str
    held: str = ""
    resolved: tuple[Month, ...] = ()


def changed_months(
    selection: Selection,
    months: MonthRange,
    history: Mapping[Month, MonthState],
    code_version: str,
    stale: Mapping[Month, str] = {},
    held: Mapping[Month, HeldMonth] = {},
) -> list[ChangedMonth]:
    """Return the months whose tables a build from scratch would build differently, in order, each with the reason.

    Args:
        selection: The current objects.
        months: The months to consider.
        history: What the loaded months were built from.
        code_version: The current version of the tables that are loaded by month.
        stale: Loaded months that changes of other tables have made stale, with the reason.
        held: Months that were held when they were last loaded.
    """
    changed = []
    unchanged = _unchanged(held, selection, code_version)
    for month in months:
        fingerprint = partial(selection.fingerprint, month)
        found = _reason(history.get(month), fingerprint, selection.has_objects(month), code_version)
        reason = found or stale.get(month)
        if reason:
            before = held[month] if month in unchanged else None
            if before and before.conflicts and unchanged.isdisjoint(before.conflicts):
                changed.append(ChangedMonth(month, reason, resolved=before.conflicts))
            else:
                changed.append(ChangedMonth(month, reason, before.reason if before else ""))
    return changed


def unsolved_conflicts(
    selection: Selection, scope: MonthRange, code_version: str, held: Mapping[Month, HeldMonth]
) -> dict[Month, HeldMonth]:
    """Return the months of a scope that must be held again, as they conflict with held months outside the scope.

    Neither has changed since. Without the other month, a check would not find what both violate.
    """
    unchanged = _unchanged(held, selection, code_version)
    return {
        month: held[month]
        for month in scope
        if month in unchanged
        and any(other in unchanged and other not in scope for other in held[month].conflicts)
    }


def _unchanged(held: Mapping[Month, HeldMonth], selection: Selection, code_version: str) -> set[Month]:
    """Return the held months whose objects and code are still those of the load that held them."""
    return {
        month
        for month, found in held.items()
        if found.state == MonthState(selection.fingerprint(month), code_version)
    }


def rebuilt_months(
    selection: Selection, months: MonthRange, loaded: Iterable[Month], reason: str
) -> list[ChangedMonth]:
    """Return the months of a rebuild: one range, from the first to the last that has objects or was loaded."""
    wanted = [month for month in months if selection.has_objects(month) or month in loaded] or [months.first]
    return [ChangedMonth(month, reason) for month in MonthRange(wanted[0], wanted[-1])]


def unpartitioned_change(selection: Selection, state: MonthState | None, code_version: str) -> str | None:
    """Return why the unpartitioned tables must be rebuilt; None if they are up to date."""
    if not selection.unpartitioned_sources:
        return None
    has_objects = bool(selection.unpartitioned_objects)
    return _reason(state, lambda: selection.unpartitioned_fingerprint, has_objects, code_version)


def _reason(
    state: MonthState | None, fingerprint: Callable[[], str], has_objects: bool, code_version: str
) -> str | None:
    if state is None:
        return "not loaded yet" if has_objects else None
    if state.fingerprint != fingerprint():
        return "objects changed" if has_objects else "its objects are gone"
    return "the star's tables or SQL changed" if state.code_version != code_version else None
