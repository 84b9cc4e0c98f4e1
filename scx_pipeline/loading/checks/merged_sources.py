"""One result of a check that was evaluated for each source of a staging table.

Evaluating a check does not belong here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from scx_pipeline.history.check_result import CheckResult


def merge_sources(by_source: Mapping[str, CheckResult], max_examples: int) -> CheckResult:
    """Return the result of all sources: the worst one decides, and those that are as bad are described.

    Args:
        by_source: the results of one check, by source.
        max_examples: how many examples of all sources are kept.
    """
    results = list(by_source.values())
    if len(results) == 1:
        return results[0]
    worst = max(map(_rank, results))
    shown = {name: item for name, item in by_source.items() if _rank(item) == worst}
    violations = sum((Counter(item.violations) for item in shown.values()), Counter[str]())
    return replace(
        next(iter(shown.values())),
        message="; ".join(f"{name}: {item.message}" for name, item in shown.items()),
        violations=dict(violations),
        numbers=_sum_numbers([item.numbers for item in results]),
        examples=tuple(row for item in results for row in item.examples)[:max_examples],
    )


def _rank(result: CheckResult) -> int:
    return 0 if result.passed else 1 + result.blocking


def _sum_numbers(parts: list[Mapping[str, float]]) -> dict[str, float]:
    total = {name: sum(part.get(name, 0) for part in parts) for name in parts[0]}
    if "share" in total:
        total["share"] = round(total["rows_rejected"] / total["rows_read"], 6) if total["rows_read"] else 0
    return total
