"""The report of a build as JSON: what a Spark job found reaches Dagster unchanged."""

from __future__ import annotations

import json
from datetime import datetime

from scx_pipeline.history.check_result import CheckResult, RejectedExample
from scx_pipeline.lake.build.build_request import BuildResult
from scx_pipeline.loading.load_report import LoadReport, ObjectTotals, TableReport
from scx_pipeline.model.calendar import Month, MonthRange

JAN, FEB, MARCH = Month(2021, 1), Month(2021, 2), Month(2021, 3)


def test_a_report_is_the_same_after_a_round_trip_as_json() -> None:
    failed = CheckResult(
        "t", "unique_id", False, "id 1 occurs twice", violations={"2021-02": 2},
        conflicts=frozenset({("2021-02", "2021-03")}), months=(JAN, FEB, MARCH),
        numbers={"share": 0.5}, examples=(RejectedExample("a.csv", 2, None, "is wrong"),),
    )  # fmt: skip
    totals = ObjectTotals(objects=1, bytes=10, read=3, rejected=1, deduplicated=1, filtered=0)
    report = LoadReport(
        "scx", MonthRange(JAN, MARCH, frozenset({FEB})), "l", "r", datetime(2021, 4, 1), objects=1, read=3, seconds=0.5,
        fingerprints={JAN: "f"}, is_published=True, held={FEB: "unique_id on t"},
        tables={"t": TableReport("t", {JAN: 1, MARCH: 0}, 0.1, 4, {JAN: totals}, objects_of_any_month=2)},
        checks=[failed],
    )  # fmt: skip
    found = BuildResult.parse(json.loads(json.dumps(BuildResult(report, "held").as_json())))
    assert found == BuildResult(report, "held")
