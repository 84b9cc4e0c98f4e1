"""How many loads of random histories have read only additional objects, so that the histories cannot silently lack such loads.

What loads must publish does not belong here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from scx_pipeline.loading.load_report import LoadReport
from scx_pipeline_tests.support.load_env import LoadEnv


@dataclass
class LoadCounts:
    """The loads that published months, and those of them that read only additional objects, by engine."""

    published: Counter[str] = field(default_factory=Counter)
    additions: Counter[str] = field(default_factory=Counter)

    def add(self, load_env: LoadEnv, report: object) -> None:
        """Count a load by its report, if it has one."""
        if isinstance(report, LoadReport) and report.is_published:
            engine = load_env.warehouse.capabilities.name
            self.published[engine] += 1
            self.additions[engine] += report.is_addition

    def check_share(self, least: float) -> None:
        """Check that at least this share of the loads on each engine were additions."""
        assert self.published
        shares = {engine: self.additions[engine] / loads for engine, loads in self.published.items()}
        assert min(shares.values()) >= least, shares
