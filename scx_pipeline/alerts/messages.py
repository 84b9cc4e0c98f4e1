"""How a problem is told: a title, a few lines, and links to where its full text stands.
Pure; the shapes that Slack, mails and webhooks want are in `shapes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scx_pipeline.alerts.advice import advice_on, guide_to, sentence_of
from scx_pipeline.alerts.facts import months_text
from scx_pipeline.alerts.problem import FoundCheck, Problem
from scx_pipeline.alerts.problems import Limits

SENSOR = "alerts"
SHOWN = 10
_WORK = {
    "load": "load",
    "refresh": "refresh",
    "lake_load": "build",
    "lake_refresh": "refresh",
    "checks": "checks",
}
_WHOLE = "tables without months"


@dataclass(frozen=True)
class Message:
    """A problem as it is told."""

    problem: Problem
    title: str
    lines: tuple[str, ...]
    links: tuple[tuple[str, str], ...]  # what it leads to, and the URL
    advice: str  # where the handbook says what to do

    @property
    def text(self) -> str:
        """All of it below its title, for who reads plain text."""
        links = [f"{name}: {url}" for name, url in self.links]
        return "\n".join([*self.lines, "", *links, f"What to do: {self.advice}"])


def word(problem: Problem, limits: Limits, ui: str) -> Message:
    """The message of a problem; its links lead into the UI at that base."""
    title, lines, advice = _WORDED[problem.kind](problem, limits)
    return Message(problem, title, tuple(line for line in lines if line), tuple(_links(problem, ui)), advice)


def _run(problem: Problem, limits: Limits) -> tuple[str, list[str], str]:
    work = _WORK.get(problem.what, problem.what)
    if not problem.star:
        title = f"{work} failed"
    else:
        place = f"{problem.star}{' lake' if problem.lake else ''}"
        of = months_text(problem.months) or (_WHOLE if "refresh" in problem.what else "")
        title = f"{place} {of}: {work} failed" if of else f"{place}: {work} failed"
    lines = [
        sentence_of(problem.failure),
        f"Failed checks: {_named(problem.checks)}." if problem.checks else "",
        f"Tables: {', '.join(problem.tables)}." if problem.tables else "",
    ]
    return title, lines, advice_on(problem.failure)


def _check(problem: Problem, limits: Limits) -> tuple[str, list[str], str]:
    place = f"{problem.star}{' lake' if problem.lake else ''}"
    count = len(problem.checks)
    title = f"{place}: {_named(problem.checks) if count == 1 else f'{count} checks'} warned"
    lines = ["It kept nothing from being published." if count == 1 else f"{_named(problem.checks)}."]
    return title, lines, guide_to("a-check-warned")


def _stale(problem: Problem, limits: Limits) -> tuple[str, list[str], str]:
    count = len(problem.months)
    what = f"{count} month{'s are' if count > 1 else ' is'}" if count else f"{_WHOLE} are"
    lines = [
        f"New or changed, and not loaded for more than {limits.stale_hours:g} hours: {_parts(problem)}.",
        f"scx plan {problem.star} says why; scx load {problem.star} loads what has changed.",
    ]
    return f"{problem.star}: {what} stale", lines, guide_to("months-are-stale")


def _rejected(problem: Problem, limits: Limits) -> tuple[str, list[str], str]:
    read, rejected = problem.counts["rows_read"], problem.counts["rows_rejected"]
    lines = [
        f"{rejected:,} of {read:,} rows that the load read were rejected ({rejected / read:.2%}); an alert is from {limits.rejected:.2%} on.",
        f"Which, and why: scx rejected {problem.star}.",
    ]
    return f"{problem.star} {_parts(problem)}: rows were rejected", lines, guide_to("rows-were-rejected")


def _unreachable(problem: Problem, limits: Limits) -> tuple[str, list[str], str]:
    lines = [
        sentence_of(problem.failure),
        "Whether months are due is not known, and no sensor asks for a load, until it can be reached again.",
        "scx doctor tells more.",
    ]
    return f"{', '.join(problem.stars)} cannot be looked at", lines, advice_on(problem.failure)


def _trial(problem: Problem, limits: Limits) -> tuple[str, list[str], str]:
    return "a trial of the alerts", ["Nothing is wrong: scx alerts try sent this."], guide_to("alerts")


_WORDED = {
    "run": _run,
    "check": _check,
    "stale": _stale,
    "rejected": _rejected,
    "unreachable": _unreachable,
    "trial": _trial,
}


def _named(checks: tuple[FoundCheck, ...]) -> str:
    shown = ", ".join(f"{check.name} on {check.table}" for check in checks[:SHOWN])
    return shown + (f" and {len(checks) - SHOWN} more" if len(checks) > SHOWN else "")


def _parts(problem: Problem) -> str:
    return ", ".join(
        part for part in (_WHOLE if problem.unpartitioned else "", months_text(problem.months)) if part
    )


def _links(problem: Problem, ui: str) -> Iterator[tuple[str, str]]:
    if problem.run_id:
        yield "Run", f"{ui}/runs/{problem.run_id}"
    if problem.kind == "check":
        for check in problem.checks[:SHOWN]:
            path = "/".join((problem.star, *(["lake"] if problem.lake else []), check.table))
            yield check.name, f"{ui}/assets/{path}?view=checks&checkDetail={check.name}"
    elif problem.kind in ("stale", "rejected"):
        yield problem.star, f"{ui}/assets/{problem.star}"
    if problem.kind == "unreachable":
        yield "What the sensor found", f"{ui}/locations/scx_pipeline/sensors/{SENSOR}"
