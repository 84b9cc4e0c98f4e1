"""The months that the maintenance tests load, and a run of the maintenance.

Fixtures and assertions do not belong here.
"""

from __future__ import annotations

from datetime import datetime

from scx_pipeline.maintenance.maintain import MaintenanceResult, maintain
from scx_pipeline.maintenance.retention import RetentionPolicy
from scx_pipeline_tests.support.load_env import APRIL, MARCH, MAY, LoadEnv, job

FEBRUARY = "2021-02"


def put(load_env: LoadEnv, month: str, *numbers: int, bad: int = 0) -> None:
    year, _, of_year = month.partition("-")
    rows = [
        job(int(of_year) * 100 + n, f"{month}-05 10:00:{n:02d}", user_id=n % 3, project_id=n % 2, plan_id=n)
        for n in numbers
    ]
    load_env.put(f"{year}/{of_year}/a.csv", [*rows, *["not a job"] * bad])


def run_maintenance(
    load_env: LoadEnv, policy: RetentionPolicy, now: datetime | None = None
) -> MaintenanceResult:
    return maintain(load_env.compiled, load_env.warehouse, policy, load_env.messages.append, now)


def loaded(load_env: LoadEnv) -> LoadEnv:
    """Load March, April and May, with two bad rows in March, and February, of which the file of March may have rows."""
    put(load_env, MARCH, *range(1, 60), bad=2)
    put(load_env, APRIL, 1, 2, 3)
    put(load_env, MAY, 1)
    load_env.load(FEBRUARY, MAY)
    return load_env
