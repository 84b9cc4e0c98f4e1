"""The text of an alert: a title, a few lines, and links to the pages that show the details.

The formats of the channels do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scx_pipeline.alerts.advice import advice_link, describe_kind, guide_link
from scx_pipeline.alerts.observations import format_months
from scx_pipeline.alerts.problem import CheckReference, Problem
from scx_pipeline.alerts.problems import AlertThresholds

SENSOR = "alerts"
MAX_CHECKS = 10  # named in a message
_WORK = {
    "load": "load",
    "refresh": "refresh",
    "lake_load": "build",
    "lake_refresh": "refresh",
    "checks": "checks",
}
_UNPARTITIONED = "unpartitioned tables"


@dataclass(frozen=True)
class Message:
    """A problem in words."""

    problem: Problem
    title: str
    lines: tuple[str, ...]
    links: tuple[tuple[str, str], ...]  # (name, URL)
    advice: str  # the section of the handbook

    @property
    def text(self) -> str:
        """Everything below the title, as plain text."""
        links = [f"{name}: {url}" for name, url in self.links]
        return "\n".join([*self.lines, "", *links, f"What to do: {self.advice}"])


def compose_message(problem: Problem, thresholds: AlertThresholds, ui: str) -> Message:
    """Describe a problem in words.

    Args:
        thresholds: The thresholds to name in the text.
        ui: The base URL of the Dagster UI, for links.
    """
    title, lines, advice = _COMPOSERS[problem.kind](problem, thresholds)
    return Message(problem, title, tuple(line for line in lines if line), tuple(_links(problem, ui)), advice)


def _run(problem: Problem, thresholds: AlertThresholds) -> tuple[str, list[str], str]:
    work = _WORK.get(problem.work, problem.work)
    if not problem.star:
        title = f"{work} failed"
    else:
        place = f"{problem.star}{' lake' if problem.lake else ''}"
        scope = format_months(problem.months) or (_UNPARTITIONED if "refresh" in problem.work else "")
        title = f"{place} {scope}: {work} failed" if scope else f"{place}: {work} failed"
    lines = [
        describe_kind(problem.failure),
        f"Failed checks: {_format_checks(problem.checks)}." if problem.checks else "",
        f"Tables: {', '.join(problem.tables)}." if problem.tables else "",
    ]
    return title, lines, advice_link(problem.failure)


def _check(problem: Problem, thresholds: AlertThresholds) -> tuple[str, list[str], str]:
    place = f"{problem.star}{' lake' if problem.lake else ''}"
    count = len(problem.checks)
    title = f"{place}: {_format_checks(problem.checks) if count == 1 else f'{count} checks'} warned"
    lines = ["The load was published nevertheless." if count == 1 else f"{_format_checks(problem.checks)}."]
    return title, lines, guide_link("a-check-warned")


def _overdue(problem: Problem, thresholds: AlertThresholds) -> tuple[str, list[str], str]:
    count = len(problem.months)
    subject = f"{count} month{'s are' if count > 1 else ' is'}" if count else f"{_UNPARTITIONED} are"
    lines = [
        f"New or changed more than {thresholds.overdue_hours:g} hours ago, and not loaded since: {_scope(problem)}.",
        f"scx plan {problem.star} shows the reasons; scx load {problem.star} loads the changes.",
    ]
    return f"{problem.star}: {subject} overdue", lines, guide_link("months-are-overdue")


def _rejected(problem: Problem, thresholds: AlertThresholds) -> tuple[str, list[str], str]:
    read, rejected = problem.counts["rows_read"], problem.counts["rows_rejected"]
    lines = [
        f"The load rejected {rejected:,} of {read:,} rows ({rejected / read:.2%}), which is more than {thresholds.rejected:.2%}.",
        f"scx rejected {problem.star} shows the rows and the reasons.",
    ]
    return f"{problem.star} {_scope(problem)}: rows were rejected", lines, guide_link("rows-were-rejected")


def _unreachable(problem: Problem, thresholds: AlertThresholds) -> tuple[str, list[str], str]:
    lines = [
        describe_kind(problem.failure),
        "Until this is fixed, due months cannot be determined, and the sensor requests no loads.",
        "scx doctor shows details.",
    ]
    return f"{', '.join(problem.stars)} cannot be checked", lines, advice_link(problem.failure)


def _trial(problem: Problem, thresholds: AlertThresholds) -> tuple[str, list[str], str]:
    return "test alert", ["Nothing is wrong: scx alerts try sent this message."], guide_link("alerts")


_COMPOSERS = {
    "run": _run,
    "check": _check,
    "overdue": _overdue,
    "rejected": _rejected,
    "unreachable": _unreachable,
    "trial": _trial,
}


def _format_checks(checks: tuple[CheckReference, ...]) -> str:
    shown = ", ".join(f"{check.name} on {check.table}" for check in checks[:MAX_CHECKS])
    return shown + (f" and {len(checks) - MAX_CHECKS} more" if len(checks) > MAX_CHECKS else "")


def _scope(problem: Problem) -> str:
    return ", ".join(
        text
        for text in (_UNPARTITIONED if problem.unpartitioned else "", format_months(problem.months))
        if text
    )


def _links(problem: Problem, ui: str) -> Iterator[tuple[str, str]]:
    if problem.run_id:
        yield "Run", f"{ui}/runs/{problem.run_id}"
    if problem.kind == "check":
        for check in problem.checks[:MAX_CHECKS]:
            path = "/".join((problem.star, *(["lake"] if problem.lake else []), check.table))
            yield check.name, f"{ui}/assets/{path}?view=checks&checkDetail={check.name}"
    elif problem.kind in ("overdue", "rejected"):
        yield problem.star, f"{ui}/assets/{problem.star}"
    if problem.kind == "unreachable":
        yield "Ticks of the sensor", f"{ui}/locations/scx_pipeline/sensors/{SENSOR}"
