"""Empty lakes to unload into, and three months of jobs with texts that are hard to write to files.

No lake is built or unloaded here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scx_pipeline_tests.support.lake_env import Lake, lake_url
from scx_pipeline_tests.support.load_env import MARCH, MAY, LoadEnv, job

TEXTS = ["", r"\N", "NULL", 'say "so"', "a,b\nc\r\nd", r"back\slash", "it's 100%", "서울 🌲", " blank "]


@pytest.fixture
def lake(load_env: LoadEnv, tmp_path: Path) -> Lake:
    """An empty lake that the engine of the warehouse can write to."""
    return Lake(lake_url(load_env.warehouse_url, tmp_path), load_env, tmp_path)


@pytest.fixture
def duckdb_lake(duckdb_env: LoadEnv, tmp_path: Path) -> Lake:
    return Lake(lake_url("", tmp_path), duckdb_env, tmp_path)


def put_months(load_env: LoadEnv) -> None:
    """Put jobs in March, April and May, with texts that are hard to write to files."""
    rows = [
        job(n, f"2021-0{3 + n % 3}-15 10:00:{n:02d}", summary=text, user_id=200 + n)
        for n, text in enumerate(TEXTS)
    ]
    rows.append(job(90, "2021-03-31 23:59:59.999999", noise_type=None, summary=None))
    load_env.put("2021/03/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-03")])
    load_env.put("2021/04/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-04")])
    load_env.put("2021/05/a.csv", [row for row in rows if str(row["created_at"]).startswith("2021-05")])


def load_months(load_env: LoadEnv) -> None:
    put_months(load_env)
    load_env.load(MARCH, MAY)
