"""Request and report of a build as JSON: a Spark job gets its star, and what it found reaches Dagster, unchanged."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from scx_pipeline.declarations.declared_stars import find_stars
from scx_pipeline.declarations.star_folder import load_star, stars_folder
from scx_pipeline.history.check_result import CheckResult, RejectedExample
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult
from scx_pipeline.loading.load_report import LoadReport, ObjectTotals, TableReport
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.support.stars import StarCopy

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


@pytest.mark.parametrize("name", find_stars([stars_folder()]))
def test_a_job_builds_the_star_of_its_request_without_any_file_of_it(name: str, tmp_path: Path) -> None:
    copy = StarCopy.of(name, tmp_path)
    path = copy.folder / "defs.yaml"
    path.write_text(path.read_text().replace("  owners:", "  schedule: 0 6 * * *\n  tags: {a: b}\n  owners:"))
    sent = load_star(copy.folder)
    months = MonthRange(JAN, MARCH)
    text = json.dumps(BuildRequest(sent, months, "s3://logs", "s3://lake", "run", Limits()).as_json())
    shutil.rmtree(copy.folder)
    found = BuildRequest.parse(json.loads(text)).compiled
    versions = ("version", "unpartitioned_version", "declaration_version")
    assert [getattr(found, item) for item in versions] == [getattr(sent, item) for item in versions]
    assert [table.name for table in found.build_order] == [table.name for table in sent.build_order]
    assert (found.star.schedule, found.star.tags, found.star.queries) == (None, {}, ())
