"""Loads into the stand-in: what is sent, what becomes of a load that is broken off, and that no secret is ever told.
That tables come out as on the other engines is tested in pipeline/ and cases/."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from scx_pipeline.errors import WarehouseError
from scx_pipeline.warehouse.redshift import redshift_warehouse as adapter
from scx_pipeline_tests.support.load_env import (
    APRIL,
    Snapshot,
    World,
    edited_star,
    folder_world,
    job,
    jobs_of,
)
from scx_pipeline_tests.support.music_env import event, music_world, song
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure, Gone
from scx_pipeline_tests.support.sensor_env import readings, sensor_world

GOLDEN = Path(__file__).parent / "golden"
CONFLICT = Failure(
    "XX000", "1023: Serializable isolation violation on table - 1, transactions forming the cycle are: 1, 2"
)


@pytest.fixture
def world(tmp_path: Path, redshift_url: str) -> World:
    return folder_world(tmp_path, redshift_url)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAUSE", 0.0)


def put_april(world: World, *jobs: int) -> None:
    world.put("2021/04/a.csv", [job(n, f"2021-04-{n:02d} 10:00:00", user_id=200 + n) for n in jobs])


def staging_bucket(redshift: StandIn, world: World) -> S3Store:
    return redshift.store(world.warehouse_url.partition("staging=s3://")[2].partition("/")[0])


def staged(redshift: StandIn, world: World) -> list[str]:
    """What lies in the staging place."""
    return [item["path"] for page in obstore.list(staging_bucket(redshift, world)) for item in page]


# What is sent


def as_written(statements: list[str]) -> str:
    """Statements without what differs from run to run."""
    text = ";\n".join(statements) + ";\n"
    for pattern, instead in (
        (r"s3://scx-[0-9a-f]+/", "s3://bucket/"),
        (r"\b[0-9a-f]{32}\b", "<id>"),
        (r"'[0-9a-f]{16}'", "'<version>'"),
        (r"query_id = \d+", "query_id = <query>"),
        (r"'[\dT:.-]+'::timestamp", "'<now>'::timestamp"),
        (r"""'"[0-9a-f-]+"'""", "'<etag>'"),
    ):
        text = re.sub(pattern, instead, text)
    return text


def check_golden(name: str, text: str) -> None:
    """Compare with the file, which SCX_GOLDEN=write writes anew."""
    path = GOLDEN / name
    if os.environ.get("SCX_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), (
        f"{path} is another; see whether it should be, and run with SCX_GOLDEN=write"
    )


def test_what_a_month_s_load_sends(redshift: StandIn, world: World) -> None:
    put_april(world, 5, 6)
    world.load(APRIL)
    first = len(redshift.statements)
    world.load(APRIL)
    check_golden("scx-first-load.sql", as_written(redshift.statements[:first]))
    check_golden("scx-month-again.sql", as_written(redshift.statements[first:]))


def test_what_a_refresh_and_a_month_with_songs_send(
    redshift: StandIn, tmp_path: Path, redshift_url: str
) -> None:
    music = music_world(tmp_path, redshift_url)
    music.put_song("A/A/A/one", song("SOZCTXZ12AB0182364"))
    music.put_day("2018-11-05", [event(1, 0, "2018-11-05 10:00:00"), event(1, 1, "2018-11-05 10:05:00")])
    music.settle()
    music.put_song("A/A/A/one", song("SOZCTXZ12AB0182364", title="Another title"))
    first = len(redshift.statements)
    music.refresh()
    check_golden("songplays-refresh.sql", as_written(redshift.statements[first:]))
    first = len(redshift.statements)
    music.load("2018-11")
    check_golden("songplays-month.sql", as_written(redshift.statements[first:]))


def test_what_a_month_of_readings_sends(redshift: StandIn, tmp_path: Path, redshift_url: str) -> None:
    sensors = sensor_world(tmp_path, redshift_url)
    sensors.put_minute("2023-01-05 10:00", readings("2023-01-05 10:00"))
    sensors.january()
    first = len(redshift.statements)
    sensors.january()
    check_golden("sensor_readings-month.sql", as_written(redshift.statements[first:]))


def test_tables_are_made_as_declared(redshift: StandIn, world: World) -> None:
    put_april(world, 5)
    world.load(APRIL)
    made = {sql.split('"')[3]: sql for sql in redshift.statements if sql.startswith('CREATE TABLE "public"')}
    assert made["auto_classification_logs"].endswith(
        'DISTSTYLE KEY DISTKEY ("user_id") SORTKEY ("created_at")'
    )
    assert made["users"].endswith('DISTSTYLE ALL SORTKEY ("user_id")')
    assert "PRIMARY KEY" not in "".join(made.values())


def test_columns_are_packed_as_declared(redshift: StandIn, tmp_path: Path, redshift_url: str) -> None:
    star = edited_star(tmp_path, {"auto_classification_logs.job_id": {"encoding": "az64"}})
    world = folder_world(tmp_path, redshift_url, star)
    put_april(world, 5)
    world.load(APRIL)
    [made] = [sql for sql in redshift.statements if sql.startswith('CREATE TABLE "public"."auto_class')]
    assert '"job_id" integer ENCODE az64, "project_id" integer,' in made
    assert jobs_of(world) == [5]


# What is broken off


def cut(redshift: StandIn, at: int) -> None:
    """Cut every connection from that statement on."""
    left = at

    def before(sql: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Gone

    redshift.before = before


def cut_at_statements(redshift: StandIn, world: World, change: Callable[[int], object], step: int = 1) -> int:
    """Change April's objects and load it, the connection cut after ever more statements, until the load goes through.

    Nothing may have changed each time it does not. How many times it was cut.
    """
    before: Snapshot = world.snapshot()
    number = 0
    while True:
        change(number)
        cut(redshift, number * step)
        try:
            world.load(APRIL)
        except WarehouseError as error:
            assert "nothing was changed" in str(error) or "cannot connect" in str(error)
        else:
            return number
        finally:
            redshift.before = lambda sql: None
        assert world.snapshot() == before, f"after {number * step} statements"
        number += 1


def test_a_connection_cut_at_any_statement_leaves_the_tables_as_they_were_and_the_next_load_converges(
    redshift: StandIn, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ATTEMPTS", 1)
    put_april(world, 1)
    world.load(APRIL)
    number = cut_at_statements(redshift, world, lambda number: put_april(world, 2 + number % 2))
    assert number > 80
    assert jobs_of(world) == [2 + number % 2]
    assert staged(redshift, world) == []


def test_a_load_whose_connection_breaks_goes_through_in_another_attempt(
    redshift: StandIn, world: World
) -> None:
    put_april(world, 5)
    broken: list[str] = []

    def before(sql: str) -> None:
        if sql.startswith("COPY") and not broken:
            broken.append(sql)
            raise Gone

    redshift.before = before
    world.load(APRIL)
    assert jobs_of(world) == [5]
    assert len(broken) == 1
    assert any("trying again in 0 s (1 of 4)" in message for message in world.told)
    assert staged(redshift, world) == []


@pytest.mark.parametrize(
    "failure",
    [CONFLICT, Failure("XX000", "1018: Relation does not exist: it was dropped by another transaction")],
)
def test_a_load_in_conflict_with_another_is_begun_anew(
    redshift: StandIn, world: World, failure: Failure
) -> None:
    put_april(world, 5)
    world.load(APRIL)
    put_april(world, 6)
    refused: list[str] = []

    def before(sql: str) -> None:
        if sql.startswith('DELETE FROM "public"."users"') and len(refused) < 2:
            refused.append(sql)
            raise failure

    redshift.before = before
    world.load(APRIL)
    assert jobs_of(world) == [6]
    assert [message for message in world.told if "trying again" in message][-1].endswith("(2 of 4)")


def test_a_conflict_that_does_not_end_is_told_and_changes_nothing(redshift: StandIn, world: World) -> None:
    put_april(world, 5)
    world.load(APRIL)
    before = world.snapshot()
    put_april(world, 6)

    def refuse(sql: str) -> None:
        if sql.startswith("COPY"):
            raise CONFLICT

    redshift.before = refuse
    with pytest.raises(WarehouseError, match="1023: Serializable isolation violation.*nothing was changed"):
        world.load(APRIL)
    redshift.before = lambda sql: None
    assert world.snapshot() == before
    assert staged(redshift, world) == []


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        (
            "User arn:aws:redshift:x is not authorized to assume IAM Role arn:aws:iam::1:role/r",
            "attach the role to the cluster",
        ),
        (
            "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid X",
            "must be allowed to read the bucket",
        ),
        (
            "S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey",
            "went away after it was listed",
        ),
        (
            "S3ServiceException:The bucket you are attempting to access must be addressed using the specified endpoint.",
            "say region=",
        ),
        ("Disk Full", "resize the cluster"),
    ],
)
def test_what_the_cluster_cannot_do_is_told_in_one_line_with_what_to_do(
    redshift: StandIn, world: World, message: str, advice: str
) -> None:
    put_april(world, 5)
    world.load(APRIL)
    before = world.snapshot()

    def refuse(sql: str) -> None:
        if sql.startswith("COPY"):
            raise Failure("XX000", message)

    redshift.before = refuse
    with pytest.raises(WarehouseError, match=re.escape(advice)) as caught:
        world.load(APRIL)
    redshift.before = lambda sql: None
    assert "\n" not in str(caught.value)
    assert world.snapshot() == before
    assert staged(redshift, world) == []


def test_a_load_removes_what_a_killed_one_left_in_the_staging_place(redshift: StandIn, world: World) -> None:
    put_april(world, 5)
    bucket = staging_bucket(redshift, world)
    obstore.put(bucket, "staging/scx/left-rows.parquet", b"left")
    obstore.put(bucket, "staging/songplays/rows.parquet", b"another star's")
    world.load(APRIL)
    assert staged(redshift, world) == ["staging/songplays/rows.parquet"]


# What is refused before anything is changed


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("s3cret", "wrong"), "password authentication failed.*temporary ones expire"),
        (("/dev?", "/other?"), 'database "other" does not exist'),
        (("localhost", "127.0.0.1"), "does not match host name|certificate"),
        (("sslrootcert=", "sslmode=verify-full&sslrootcert=/nowhere"), "root certificate file"),
    ],
)
def test_a_connection_that_is_refused_is_told_without_its_password(
    world: World, change: tuple[str, str], told: str
) -> None:
    put_april(world, 5)
    world.warehouse_url = world.warehouse_url.replace(*change, 1)
    with pytest.raises(WarehouseError, match=told) as caught:
        world.load(APRIL)
    assert "cret/@:%" not in str(caught.value)
    assert "cret%2F" not in str(caught.value)


def test_without_a_staging_place_nothing_can_be_loaded(world: World) -> None:
    put_april(world, 5)
    world.warehouse_url = world.warehouse_url.partition("&staging=")[0]
    with pytest.raises(WarehouseError, match="add staging=s3://bucket/prefix"):
        world.load(APRIL)
    with world.warehouse.reader() as session:
        assert session is None


# No secret


@pytest.fixture
def planted(redshift: StandIn) -> Iterator[list[str]]:
    """The secrets that are about: the database's password, and the keys of the environment."""
    secrets = [redshift.users["scx"], os.environ["AWS_SECRET_ACCESS_KEY"]]
    assert all(len(secret) > 8 for secret in secrets)
    yield secrets


def test_no_secret_is_in_a_statement_a_message_or_an_error(
    redshift: StandIn,
    world: World,
    planted: list[str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    put_april(world, 5)
    world.put("2021/03/bad.csv", ["1,10,short"])
    world.load(APRIL)
    errors = []
    for failure in (CONFLICT, Failure("XX000", "Disk Full"), Gone()):

        def refuse(sql: str, failure: Exception = failure) -> None:
            if sql.startswith("COPY"):
                raise failure

        redshift.before = refuse
        with pytest.raises(WarehouseError) as caught:
            world.load(APRIL)
        errors += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    redshift.before = lambda sql: None
    shown = capfd.readouterr()
    told = [
        *redshift.statements,
        *world.told,
        *errors,
        repr(world.warehouse),
        world.warehouse.url,
        shown.out,
        shown.err,
        caplog.text,
    ]
    for secret in planted:
        assert not [text for text in told if secret in text]
