"""Rejected records are found whatever the system views show of a COPY.

What the views hide makes the client parse the objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from scx_pipeline.loading.ingest import server_copy
from scx_pipeline_tests.support.load_env import APRIL, PREFIX, LoadEnv, job, jobs_of
from scx_pipeline_tests.support.music_env import EVENTS, MusicEnv, event
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.transfer.copying import Copying
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.warehouse.redshift.object_reading.object_reading import (
    COUNTS,
    BucketAndWarehouse,
    april,
    load_and_list_parsed,
)

Hides = Callable[[str, str], bool]


LOGS = f"/{PREFIX}"


# What the cluster's views hide from users without rights, or before it is written.
HIDDEN: dict[str, Hides] = {
    "no errors": lambda view, url: view == "sys_load_error_detail",
    "no errors of the logs": lambda view, url: view == "sys_load_error_detail" and LOGS in url,
    "no files": lambda view, url: view == "sys_load_detail",
    "no files of the logs": lambda view, url: view == "sys_load_detail" and LOGS in url,
    "nothing": lambda view, url: True,
    "nothing of the logs": lambda view, url: LOGS in url,
}


def bad_april() -> list[dict[str, object] | str]:
    """Return 400 valid rows, and three that COPY rejects."""
    rows = range(400)
    good: list[dict[str, object] | str] = [job(1000 + n, f"2021-04-{1 + n % 28:02d} 10:00:00") for n in rows]
    for at in (10, 200, 402):
        good.insert(at, f"{at},10,short")
    return good


@pytest.mark.parametrize(
    ("hidden", "alone", "reports_counts"),
    [
        *((name, True, False) for name in HIDDEN),
        ("no errors", False, False),
        ("no errors of the logs", True, True),
    ],
)
def test_records_rejected_by_copy_are_rejected_whatever_the_views_hide(
    redshift: StandIn,
    load_env: LoadEnv,
    monkeypatch: pytest.MonkeyPatch,
    hidden: str,
    alone: bool,
    reports_counts: bool,
) -> None:
    redshift.hides, redshift.reports_counts = HIDDEN[hidden], reports_counts
    monkeypatch.setattr(server_copy, "SINGLE_OBJECT_BYTES", 1 if alone else server_copy.SINGLE_OBJECT_BYTES)
    load_env.put("2021/04/a.csv", bad_april())
    if not alone:
        load_env.put("2021/04/b.csv", [april(5)])
    load_env.load(APRIL)
    counts = [(f"{PREFIX}2021/04/a.csv", 403, 400, 3, 0, 0)]
    assert load_env.state("objects", COUNTS)[:1] == counts
    assert [line for (line,) in load_env.state("rejected_rows", "line")] == [12, 202, 404]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_valid_objects_are_read_by_the_cluster_only_if_its_views_report_them(
    redshift: StandIn, load_env: LoadEnv, hidden: str
) -> None:
    load_env.put("2021/04/a.csv", [april(n) for n in range(1, 29)])
    redshift.hides = HIDDEN[hidden]
    messages = load_and_list_parsed(load_env)
    assert len(jobs_of(load_env)) == 28
    assert bool(messages) == (hidden != "no errors of the logs")  # of which there are none


def test_a_rejected_record_is_not_counted_as_header(
    redshift: StandIn, load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the line counts exclude the header, a missing record must not be mistaken for it."""
    redshift.hides, redshift.reports_counts = HIDDEN["no errors of the logs"], False
    lines = Copying._lines
    monkeypatch.setattr(Copying, "_lines", lambda self, content, read: lines(self, content, read) - 1)
    load_env.put("2021/04/a.csv", [*(april(n) for n in range(2, 30)), "1,10,short"])
    load_env.load(APRIL)
    assert load_env.state("objects", COUNTS) == [(f"{PREFIX}2021/04/a.csv", 29, 28, 1, 0, 0)]


@pytest.mark.parametrize("why", ["hidden columns", "no right"])
def test_objects_are_parsed_by_the_client_if_the_views_cannot_be_read(
    redshift: StandIn, load_env: LoadEnv, why: str
) -> None:
    """An older cluster lacks a column of the view, or the user has no right to it: only the transaction is lost."""
    failure = Failure("42703", 'column "file_etag" does not exist') if why == "hidden columns" else Failure(
        "42501", "permission denied for relation sys_load_detail"
    )  # fmt: skip

    def before(sql: str) -> None:
        if "FROM sys_load_detail" in sql:
            raise failure

    redshift.before = before
    load_env.put("2021/04/a.csv", [april(1)])
    load_env.load(APRIL)
    assert jobs_of(load_env) == [1]
    assert any(
        "trying again, parsing the objects on this machine" in message for message in load_env.messages
    )


def test_a_differently_formatted_etag_does_not_fail_the_load(
    redshift: StandIn, load_env: LoadEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = Copying._get
    monkeypatch.setattr(Copying, "_get", lambda self, address: (get(self, address)[0], "another"))
    load_env.put("2021/04/a.csv", [april(1)])
    load_env.load(APRIL)
    assert {file.etag for load in redshift.loads.values() for file in load.files} == {"another"}
    assert jobs_of(load_env) == [1]


@pytest.mark.parametrize("shown", ["canary", "nothing"], ids=["only the canary record", "nothing"])
def test_json_records_rejected_by_copy_are_rejected_whatever_the_views_hide(
    redshift: StandIn, cluster_bucket: BucketAndWarehouse, shown: str
) -> None:
    redshift.hides, redshift.reports_counts = (
        lambda view, url: view.endswith("error_detail") and shown not in url,
        False,
    )
    music_env = MusicEnv(*cluster_bucket)
    events = [json.dumps(event(1, n, "2018-11-05 10:00:00")) for n in range(2, 30)]
    music_env.put_key(f"{EVENTS}2018/11/2018-11-05-events.json", "\n".join([*events, "no JSON"]).encode())
    music_env.load("2018-11")
    assert music_env.state("rejected_rows", "line") == [(29,)]
    assert music_env.table("staging_events", "COUNT(*)") == [(28,)]
