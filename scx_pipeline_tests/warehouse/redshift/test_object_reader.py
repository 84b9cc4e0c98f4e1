"""Objects in S3 that the cluster reads itself: what is sent, what is left to the parser, and what is refused.
That the tables come out as on the other engines is tested in pipeline/, which runs so as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import obstore
import pyarrow as pa
import pytest

from scx_pipeline.errors import BucketError, SourceFileError, WarehouseError
from scx_pipeline.loading import server_copy
from scx_pipeline.warehouse.redshift import redshift_warehouse as adapter
from scx_pipeline.warehouse.redshift.copy_command import copyable
from scx_pipeline_tests.support.load_env import (
    APRIL,
    MARCH,
    PREFIX,
    World,
    columns,
    compress,
    csv_text,
    job,
    jobs_of,
    line_of,
    range_of_keys,
)
from scx_pipeline_tests.support.music_env import EVENTS, MusicWorld, event
from scx_pipeline_tests.support.redshift.copying import Copying
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.support.sensor_env import SensorWorld, packed, readings
from scx_pipeline_tests.support.servers.redshift import reading_bucket
from scx_pipeline_tests.warehouse.redshift.test_loads import as_written, check_golden, cut_at_statements

StagingPrefix = tuple[str, str]
COUNTS = "object_key, rows_read, rows_loaded, rows_rejected, rows_deduplicated, rows_filtered"


@pytest.fixture
def place(redshift_url: str) -> Iterator[StagingPrefix]:
    """A bucket in S3, and the stand-in that reads it, however little there is to read."""
    with reading_bucket(redshift_url) as bucket:
        yield bucket, f"{redshift_url}&copy_from=0"


@pytest.fixture
def world(place: StagingPrefix) -> World:
    return World(*place)


def april(n: int, moment: str = "", **values: object) -> dict[str, object]:
    return job(n, moment or f"2021-04-{n:02d} 10:00:00", **values)


def sent(redshift: StandIn, words: str) -> list[str]:
    return [sql for sql in redshift.statements if words in sql]


def read_here(world: World, month: str = APRIL) -> list[str]:
    """Load a month; why objects were left to the parser."""
    told: list[str] = []
    world.loader(told.append).load(range_of_keys(month))
    return [message for message in told if "are read here" in message]


def at_copy(redshift: StandIn, act: Callable[[], object]) -> None:
    """Do something just before the first COPY of the logs."""
    done: list[str] = []

    def before(sql: str) -> None:
        if "_texts_" in sql and sql.startswith("COPY") and not done:
            done.append(sql)
            act()

    redshift.before = before


# What is sent


def test_objects_of_a_make_are_read_by_one_statement(redshift: StandIn, world: World) -> None:
    for n in (1, 2, 3):
        world.put(f"2021/04/{n}.csv", [april(n)])
    assert read_here(world) == []
    assert jobs_of(world) == [1, 2, 3]
    assert len(sent(redshift, "FORMAT AS CSV")) == 1
    assert world.state("objects", COUNTS) == [(f"{PREFIX}2021/04/{n}.csv", 1, 1, 0, 0, 0) for n in (1, 2, 3)]


def test_what_a_month_that_is_read_so_sends(redshift: StandIn, world: World) -> None:
    world.put("2021/04/a.csv.gz", [april(5), april(6)])
    world.load(APRIL)
    first = len(redshift.statements)
    world.load(APRIL)
    check_golden("scx-month-read.sql", as_written(redshift.statements[first:]))


def test_what_a_month_of_events_sends(redshift: StandIn, place: StagingPrefix) -> None:
    music = MusicWorld(*place)
    music.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music.settle()
    first = len(redshift.statements)
    music.load("2018-11")
    check_golden("songplays-month-read.sql", as_written(redshift.statements[first:]))
    assert music.table("staging_events", "COUNT(*)") == [(2,)]


def test_what_a_month_of_readings_sends(redshift: StandIn, place: StagingPrefix) -> None:
    sensors = SensorWorld(*place)
    for minute in ("2023-01-05 10:00", "2023-01-05 10:01"):
        usual = readings(minute)
        sensors.put_minute(minute, usual.cast(copyable(usual.schema)))
    sensors.january()
    first = len(redshift.statements)
    sensors.january()
    check_golden("sensor_readings-month-read.sql", as_written(redshift.statements[first:]))
    assert len(sensors.readings()) == 4


def test_fields_are_taken_by_paths_written_from_the_declared_mapping(
    redshift: StandIn, place: StagingPrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    music = MusicWorld(*place)
    music.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00")])
    paths: list[str] = []

    def before(sql: str) -> None:
        if "FORMAT AS JSON" in sql:
            bucket, _, key = sql.split("FORMAT AS JSON 's3://")[1].split("'")[0].partition("/")
            paths.extend(json.loads(bytes(redshift.store(bucket).get(key).bytes()))["jsonpaths"])

    redshift.before = before
    music.settle()
    staging = music.compiled.star.table("staging_events")
    assert paths == [f"$['{column.field or column.name}']" for column in staging.columns]
    assert "$['itemInSession']" in paths


def test_other_headers_and_other_months_are_read_by_statements_of_their_own(
    redshift: StandIn, world: World
) -> None:
    world.put("2021/04/a.csv", [april(1)])
    backwards = [*reversed(columns()), "comment"]
    world.put_raw("2021/04/b.csv", csv_text([april(2) | {"comment": "new"}], backwards).encode())
    world.put("2021/05/c.csv", [april(30)])
    world.put("2021/04/d.csv.gz", [april(4)])
    told: list[str] = []
    report = world.loader(told.append).load(range_of_keys(APRIL))
    assert sorted(jobs_of(world)) == [1, 2, 4, 30]
    assert len(sent(redshift, "FORMAT AS CSV")) == 4
    assert any("comment" in check.message for check in report.checks)


# What is left to the parser


def test_little_is_quicker_parsed(redshift: StandIn, world: World) -> None:
    world.warehouse_url = world.warehouse_url.replace("copy_from=0", "copy_from=1")
    world.put("2021/04/a.csv", [april(1)])
    world.load(APRIL)
    assert sent(redshift, "FORMAT AS CSV") == []
    assert jobs_of(world) == [1]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("2,10,short", "COPY refused 1 records, such as s3://"),
        (april(2, "2021-04-02 25:00:00"), "1 rows are in doubt"),
        (april(2, remove_dup="yes"), "1 rows are in doubt"),
        (april(2, user_id=None), "1 rows are in doubt"),
        (april(2, noise_type="x" * 65), "String length exceeds DDL length"),
        (april(2, "2020-01-02 10:00:00"), "there are rows of other months than the keys name"),
    ],
)
def test_a_group_with_a_bad_row_is_read_by_the_parser_which_tells_of_it(
    world: World, bad: dict[str, object] | str, why: str
) -> None:
    good = [april(n) for n in range(3, 30)]
    world.put("2021/04/a.csv", [*good, bad])
    [message] = read_here(world)
    assert why in message
    assert message.endswith("1 objects are read here")
    assert world.state("objects", COUNTS) == [(f"{PREFIX}2021/04/a.csv", 28, 27, 1, 0, 0)]
    assert world.state("rejected_rows", "line") == [(29,)]


Hides = Callable[[str, str], bool]
LOGS = f"/{PREFIX}"
# What the cluster's views do not show: who has not the right, or asks before it is written. The rest is as ever.
HIDDEN: dict[str, Hides] = {
    "no errors": lambda view, url: view == "sys_load_error_detail",
    "no errors of the logs": lambda view, url: view == "sys_load_error_detail" and LOGS in url,
    "no files": lambda view, url: view == "sys_load_detail",
    "no files of the logs": lambda view, url: view == "sys_load_detail" and LOGS in url,
    "nothing": lambda view, url: True,
    "nothing of the logs": lambda view, url: LOGS in url,
}


def bad_april() -> list[dict[str, object] | str]:
    """As many good rows, and three between them that COPY refuses."""
    rows = range(400)
    good: list[dict[str, object] | str] = [job(1000 + n, f"2021-04-{1 + n % 28:02d} 10:00:00") for n in rows]
    for at in (10, 200, 402):
        good.insert(at, f"{at},10,short")
    return good


@pytest.mark.parametrize(
    ("hidden", "alone", "tells"),
    [
        *((name, True, False) for name in HIDDEN),
        ("no errors", False, False),
        ("no errors of the logs", True, True),
    ],
)
def test_records_that_copy_refused_are_rejected_whatever_the_views_hide(
    redshift: StandIn, world: World, monkeypatch: pytest.MonkeyPatch, hidden: str, alone: bool, tells: bool
) -> None:
    redshift.hides, redshift.tells = HIDDEN[hidden], tells
    monkeypatch.setattr(server_copy, "ALONE", 1 if alone else server_copy.ALONE)
    world.put("2021/04/a.csv", bad_april())
    if not alone:
        world.put("2021/04/b.csv", [april(5)])
    world.load(APRIL)
    counts = [(f"{PREFIX}2021/04/a.csv", 403, 400, 3, 0, 0)]
    assert world.state("objects", COUNTS)[:1] == counts
    assert [line for (line,) in world.state("rejected_rows", "line")] == [12, 202, 404]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_good_objects_are_read_by_the_cluster_only_where_its_views_show_them(
    redshift: StandIn, world: World, hidden: str
) -> None:
    world.put("2021/04/a.csv", [april(n) for n in range(1, 29)])
    redshift.hides = HIDDEN[hidden]
    told = read_here(world)
    assert len(jobs_of(world)) == 28
    assert bool(told) == (hidden != "no errors of the logs")  # of which there are none


def test_one_refused_record_is_no_header(
    redshift: StandIn, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the lines do not count the header, one record that is missing must not be taken for it."""
    redshift.hides, redshift.tells = HIDDEN["no errors of the logs"], False
    lines = Copying._lines
    monkeypatch.setattr(Copying, "_lines", lambda self, content, read: lines(self, content, read) - 1)
    world.put("2021/04/a.csv", [*(april(n) for n in range(2, 30)), "1,10,short"])
    world.load(APRIL)
    assert world.state("objects", COUNTS) == [(f"{PREFIX}2021/04/a.csv", 29, 28, 1, 0, 0)]


@pytest.mark.parametrize("why", ["hidden columns", "no right"])
def test_a_look_that_fails_leaves_the_objects_to_the_parser(
    redshift: StandIn, world: World, why: str
) -> None:
    """An older cluster lacks a column of the view, or the user may not ask: the transaction is lost, and nothing else."""
    failure = Failure("42703", 'column "file_etag" does not exist') if why == "hidden columns" else Failure(
        "42501", "permission denied for relation sys_load_detail"
    )  # fmt: skip

    def before(sql: str) -> None:
        if "FROM sys_load_detail" in sql:
            raise failure

    redshift.before = before
    world.put("2021/04/a.csv", [april(1)])
    world.load(APRIL)
    assert jobs_of(world) == [1]
    assert any("beginning anew, objects are read here" in message for message in world.told)


def test_blank_texts_are_never_cast(world: World) -> None:
    """Redshift refuses TRY_CAST of a blank text (r_TRY_CAST); the parser says what such a row is."""
    world.put("2021/04/a.csv", [april(1, plan_id="   "), *(april(n) for n in range(2, 30))])
    [message] = read_here(world)
    assert "1 rows are in doubt" in message


def test_an_object_with_bad_rows_is_the_parser_s_at_once_the_next_time(
    redshift: StandIn, world: World
) -> None:
    world.put("2021/04/a.csv", [*(april(n) for n in range(1, 28)), "28,10,short"])
    world.put("2021/04/b.csv", [april(29)])
    assert "2 objects are read here" in read_here(world)[0]
    assert read_here(world) == []
    manifests = sent(redshift, "FORMAT AS CSV")
    assert len(manifests) == 2, "the good one is read by the cluster again"
    assert [row[:4] for row in world.state("objects", COUNTS)] == [
        (f"{PREFIX}2021/04/a.csv", 28, 27, 1), (f"{PREFIX}2021/04/b.csv", 1, 1, 0),
    ]  # fmt: skip


def test_a_moment_in_no_calendar_is_in_doubt(world: World) -> None:
    world.put("2021/04/a.csv", [april(n) for n in range(1, 29)] + [april(29, "10000-01-01 00:00:00")])
    assert "1 rows are in doubt" in read_here(world)[0]
    assert len(jobs_of(world)) == 28


def test_rows_of_months_that_are_not_loaded_are_told_by_object(
    redshift: StandIn, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("2021/04/a.csv", [april(1), april(2, "2021-03-31 23:00:00")])
    world.put("2021/04/b.csv", [april(3)])
    assert "there are rows of months that are not loaded" in read_here(world)[0]
    counts = [(f"{PREFIX}2021/04/a.csv", 2, 1, 0, 0, 1), (f"{PREFIX}2021/04/b.csv", 1, 1, 0, 0, 0)]
    assert world.state("objects", COUNTS) == counts
    monkeypatch.setattr(server_copy, "ALONE", 1)  # large objects are read by statements of their own
    first = len(redshift.statements)
    assert read_here(world) == []
    assert len([sql for sql in redshift.statements[first:] if "FORMAT AS CSV" in sql]) == 2
    assert world.state("objects", COUNTS) == counts


def test_rows_that_lose_to_newer_ones_are_told_by_object(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("2021/04/a.csv", [april(1), april(2)])
    world.put("2021/04/b.csv", [april(2, updated_at="2021-04-09 00:00:00", ground_profile="forestry")])
    counts = [(f"{PREFIX}2021/04/a.csv", 2, 1, 0, 1, 0), (f"{PREFIX}2021/04/b.csv", 1, 1, 0, 0, 0)]
    world.load(APRIL)
    assert world.state("objects", COUNTS) == counts
    assert world.table("auto_classification_logs", "ground_profile") == [("city",), ("forestry",)]
    monkeypatch.setattr(server_copy, "ALONE", 1)
    world.load(APRIL)
    assert world.state("objects", COUNTS) == counts
    assert world.table("auto_classification_logs", "ground_profile") == [("city",), ("forestry",)]


def test_rows_of_both_ways_lose_to_each_other(world: World) -> None:
    world.put("2021/04/a.csv", [april(n) for n in range(1, 29)])
    world.put("2021/04/b.csv.gz", ["1,10,short", april(2, updated_at="2021-04-09 00:00:00")])
    world.load(APRIL)
    assert world.state("objects", COUNTS) == [
        (f"{PREFIX}2021/04/a.csv", 28, 27, 0, 1, 0),
        (f"{PREFIX}2021/04/b.csv.gz", 2, 1, 1, 0, 0),
    ]


def test_records_of_several_lines_are_told_by_object(redshift: StandIn, world: World) -> None:
    world.put("2021/04/a.csv", [april(1, summary="roads\nand\ntrees"), april(2)])
    world.put("2021/04/b.csv", [april(3)])
    world.put("2021/04/c.csv.gz", [april(4, summary="roads\nand trees")])
    [message] = read_here(world)
    assert message.endswith("it is not told how many rows each object has; 2 objects are read here")
    assert [row[1] for row in world.state("objects", COUNTS)] == [2, 1, 1]
    assert world.table("staging_cleansed_logs", "summary").count(("roads\nand\ntrees",)) == 1


def test_an_etag_that_is_written_in_another_way_is_no_reason_to_fail(
    redshift: StandIn, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = Copying._get
    monkeypatch.setattr(Copying, "_get", lambda self, address: (get(self, address)[0], "another"))
    world.put("2021/04/a.csv", [april(1)])
    world.load(APRIL)
    assert {file.etag for load in redshift.loads.values() for file in load.files} == {"another"}
    assert jobs_of(world) == [1]


def test_objects_without_rows_or_bytes_count_none(world: World) -> None:
    world.put("2021/04/a.csv", [])
    world.put("2021/04/b.csv", b"")
    world.put("2021/04/c.csv", [april(3)])
    world.load(APRIL)
    assert [row[1] for row in world.state("objects", COUNTS)] == [0, 0, 1]


def test_a_text_that_copy_takes_for_no_value_is_a_text(world: World) -> None:
    world.put("2021/04/a.csv", [april(1, summary="\\N")])
    assert read_here(world) == []
    assert world.table("staging_cleansed_logs", "summary") == [("\\N",)]


def test_nothing_and_a_quoted_empty_text_are_null_where_the_source_says_so_and_need_no_parser(
    world: World,
) -> None:
    quoted = line_of(april(2, summary="Q")).replace("Q", '""')
    world.put("2021/04/a.csv", [april(1, summary=""), quoted])
    assert read_here(world) == []
    assert world.table("staging_cleansed_logs", "job_id, summary") == [(1, None), (2, None)]


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(event(1, 1, "2018-11-05 10:01:00", artist=311)),
        json.dumps(event(1, 1, "2018-11-05 10:01:00", artist={"name": "311"})),
        json.dumps([1, 2]),
        "no JSON",
        json.dumps(event(1, 1, "2018-11-05 10:01:00"), indent=1).replace("\n", " ") + " {}",
        json.dumps(event(1, 1, "2018-11-05 10:01:00", itemInSession=1.5)),
    ],
)
def test_a_record_that_is_not_as_declared_is_the_parser_s_to_refuse(place: StagingPrefix, line: str) -> None:
    music = MusicWorld(*place)
    events = [json.dumps(event(1, n, "2018-11-05 10:00:00")) for n in range(2, 30)]
    music.put_key(f"{EVENTS}2018/11/2018-11-05-events.json", "\n".join([*events, line]).encode())
    music.load("2018-11")
    assert music.state("rejected_rows", "line") == [(29,)]
    assert music.table("staging_events", "COUNT(*)") == [(28,)]


@pytest.mark.parametrize("shown", ["refused", "nothing"], ids=["the one that COPY must refuse", "none"])
def test_json_records_that_copy_refused_are_rejected_whatever_the_views_hide(
    redshift: StandIn, place: StagingPrefix, shown: str
) -> None:
    redshift.hides, redshift.tells = (
        lambda view, url: view.endswith("error_detail") and shown not in url,
        False,
    )
    music = MusicWorld(*place)
    events = [json.dumps(event(1, n, "2018-11-05 10:00:00")) for n in range(2, 30)]
    music.put_key(f"{EVENTS}2018/11/2018-11-05-events.json", "\n".join([*events, "no JSON"]).encode())
    music.load("2018-11")
    assert music.state("rejected_rows", "line") == [(29,)]
    assert music.table("staging_events", "COUNT(*)") == [(28,)]


def test_a_field_that_is_not_declared_is_told(place: StagingPrefix) -> None:
    music = MusicWorld(*place)
    music.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00") | {"mood": "good"}])
    report = music.load("2018-11")
    assert any("mood" in check.message for check in report.checks)


@pytest.mark.parametrize("why", ["moments", "codec"])
def test_parquet_that_copy_would_misread_is_read_by_the_parser(
    redshift: StandIn, place: StagingPrefix, why: str
) -> None:
    """COPY takes moments for bare numbers where the file does not say that they are in UTC, and knows no zstd."""
    sensors = SensorWorld(*place)
    usual = readings("2023-01-05 10:00")
    odd = usual if why == "moments" else usual.cast(copyable(usual.schema))
    sensors.put_minute("2023-01-05 10:00", packed(odd, "snappy" if why == "moments" else "zstd"))
    sensors.january()
    assert sent(redshift, 'COPY "_texts_data_sample"') == []
    assert [str(moment) for *_, moment in sensors.readings()] == ["2023-01-05 10:00:00"] * 2


def test_parquet_of_other_types_than_declared_is_converted_by_the_parser(
    redshift: StandIn, place: StagingPrefix
) -> None:
    sensors = SensorWorld(*place)
    moment = pa.array([1672912800000, 1672912800000], pa.timestamp("ms"))
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00", create_at=moment))
    sensors.january()
    assert sent(redshift, 'COPY "_texts_data_sample"') == []
    assert len(sensors.readings()) == 2


# What is refused


@pytest.mark.parametrize("act", ["delete", "overwrite"])
def test_an_object_that_goes_or_changes_between_listing_and_copy_is_named_and_the_next_plan_is_right(
    redshift: StandIn, world: World, act: str
) -> None:
    world.put("2021/04/a.csv", [april(1)])
    world.load(APRIL)
    before = world.snapshot()
    world.put("2021/04/b.csv", [april(2)])
    world.put("2021/04/c.csv", [april(3)])
    at_copy(
        redshift,
        lambda: world.delete("2021/04/b.csv") if act == "delete" else world.put("2021/04/b.csv", [april(4)]),
    )
    with pytest.raises(
        BucketError, match=r"2021/04/b\.csv went away or was overwritten after the listing; run again"
    ):
        world.load(APRIL)
    assert world.snapshot() == before
    assert world.changed() == [MARCH, APRIL], "an April's file may hold rows of March"
    world.load_changed()
    assert jobs_of(world) == ([1, 3] if act == "delete" else [1, 3, 4])
    assert world.changed() == []


def test_a_damaged_object_fails_the_load_by_its_name(redshift: StandIn, world: World) -> None:
    world.put("2021/04/a.csv", [april(1)])
    world.load(APRIL)
    before = world.snapshot()
    packed = compress(
        csv_text(april(n % 28 + 1, summary=str(n * 7919)) for n in range(9000)).encode(), "a.gz"
    )
    world.put_raw("2021/04/b.csv.gz", packed[: len(packed) // 2])
    with pytest.raises(
        SourceFileError, match=r"2021/04/b\.csv\.gz: the compressed file is damaged or cut off"
    ):
        world.load(APRIL)
    assert world.snapshot() == before
    assert any("beginning anew, objects are read here" in message for message in world.told)


def test_objects_that_the_cluster_cannot_read_for_a_reason_of_its_own_are_read_here(
    redshift: StandIn, world: World
) -> None:
    world.put("2021/04/a.csv", [april(1)])
    at_copy(redshift, lambda: refuse("Spectrum Scan Error: something is not supported"))
    world.load(APRIL)
    assert jobs_of(world) == [1]
    [message] = [message for message in world.told if "beginning anew" in message]
    assert "COPY of staging_cleansed_logs's objects failed: Spectrum Scan Error" in message


def refuse(message: str) -> None:
    raise Failure("XX000", message)


def test_a_role_that_may_not_read_the_logs_is_told_and_not_passed_over(
    redshift: StandIn, world: World
) -> None:
    world.put("2021/04/a.csv", [april(1)])
    at_copy(redshift, lambda: refuse("S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid X"))
    with pytest.raises(WarehouseError, match="the cluster's role must be allowed to read the bucket"):
        world.load(APRIL)
    assert not [message for message in world.told if "beginning anew" in message]


def test_a_bucket_in_another_region_is_read_there_by_a_manifest_that_is_there(
    redshift: StandIn, world: World, s3_bucket: str
) -> None:
    """The logs, and what COPY is told of them, are in a bucket of another region."""
    away = f"{s3_bucket}-away"
    redshift.s3.create_bucket(away.removeprefix("s3://"))  # type: ignore[union-attr]
    redshift.elsewhere[away.removeprefix("s3://")] = "eu-west-1"
    world.bucket_url = f"{away}/logs"
    world.put("2021/04/a.csv", [april(1)])
    with pytest.raises(
        WarehouseError, match="the bucket is in another region: say region= and region_staging="
    ):
        world.load(APRIL)
    world.warehouse_url += "&region=eu-west-1"
    world.load(APRIL)  # by the parser, as there is no place for a manifest
    assert sent(redshift, "REGION") == []
    world.warehouse_url += f"&region_staging={away}/manifests"
    world.load(APRIL)
    assert len(sent(redshift, "REGION 'eu-west-1'")) == 1
    assert jobs_of(world) == [1]
    store = redshift.store(away.removeprefix("s3://"))
    assert [item["path"] for page in obstore.list(store, "manifests") for item in page] == []
    redshift.s3.delete_bucket(away.removeprefix("s3://"))  # type: ignore[union-attr]


def test_a_size_that_is_none_is_told(world: World) -> None:
    world.warehouse_url = world.warehouse_url.replace("copy_from=0", "copy_from=much")
    with pytest.raises(
        WarehouseError, match="copy_from in SCX_WAREHOUSE_URL is 'much': write a number of megabytes"
    ):
        world.load(APRIL)


def test_a_connection_cut_at_any_second_statement_of_it_leaves_the_tables_as_they_were(
    redshift: StandIn, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ATTEMPTS", 1)
    world.put("2021/04/a.csv", [april(1)])
    world.put(
        "2021/04/b.csv.gz", ["1,10,short", *(april(n) for n in range(2, 28))]
    )  # by the parser, in the end
    world.load(APRIL)
    number = cut_at_statements(
        redshift, world, lambda number: world.put("2021/04/a.csv", [april(28 + number % 2)]), step=2
    )
    assert number > 40
    assert max(jobs_of(world)) == 28 + number % 2


def test_months_side_by_side_stay_apart(world: World) -> None:
    world.put("2021/03/a.csv", [april(1, "2021-03-05 10:00:00")])
    world.put("2021/04/a.csv", [april(2)])
    world.loader().load(range_of_keys(MARCH, APRIL))
    world.put("2021/03/a.csv", [april(3, "2021-03-05 10:00:00")])
    world.load(MARCH)
    assert jobs_of(world) == [2, 3]
