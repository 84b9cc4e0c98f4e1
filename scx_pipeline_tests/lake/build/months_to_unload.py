"""Three months of jobs with texts that are hard to write to files.

No tests belong here.
"""

from __future__ import annotations

from scx_pipeline_tests.support.load_env import MARCH, MAY, LoadEnv, job

TEXTS = ["", r"\N", "NULL", 'say "so"', "a,b\nc\r\nd", r"back\slash", "it's 100%", "서울 🌲", " blank "]


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
    """Put and load them."""
    put_months(load_env)
    load_env.load(MARCH, MAY)
