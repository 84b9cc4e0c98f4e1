"""The test servers: they are private to this machine, independent of each other, and stopped with the tests.

Nothing of the pipeline is tested here.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import obstore
import psutil  # type: ignore[import-untyped, unused-ignore]
import psycopg2
import pytest
from obstore.store import S3Store
from psycopg2.sql import SQL, Identifier

from scx_pipeline_tests.support.servers import ports
from scx_pipeline_tests.support.servers.postgres import FAST, PostgresServer, binary, postgres_server
from scx_pipeline_tests.support.servers.s3 import S3Server, s3_server

ROOT = Path(__file__).parents[3]


def query(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements in one transaction; return the rows of the last one."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def store(bucket: str, **configuration: str) -> S3Store:
    return S3Store(urlsplit(bucket).netloc, **configuration)  # type: ignore[arg-type]


def keys(bucket: S3Store, prefix: str | None = None, offset: str | None = None) -> list[str]:
    return [entry["path"] for page in obstore.list(bucket, prefix, offset=offset) for entry in page]


def listening(pid: int) -> list[tuple[str, int]]:
    """Return the addresses and ports that a process and its children listen on."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    sockets = [socket for member in family for socket in member.net_connections("inet")]
    return [tuple(socket.laddr) for socket in sockets if socket.status == psutil.CONN_LISTEN]


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_postgres_keeps_inserted_rows(postgres_url: str) -> None:
    rows = query(
        postgres_url,
        'CREATE TABLE "dev"."public"."t" (n int, s text)',
        "INSERT INTO t VALUES (1, 'ü'), (2, NULL)",
        'SELECT n, s FROM "dev"."public"."t" ORDER BY n',
    )
    assert rows == [(1, "ü"), (2, None)]


@pytest.mark.parametrize("attempt", [1, 2])
def test_dev_is_fresh_even_if_another_session_is_connected(attempt: int, postgres: PostgresServer) -> None:
    with closing(psycopg2.connect(postgres.fresh_dev())):
        url = postgres.fresh_dev()
        assert query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
        query(url, "CREATE TABLE dwh.t (n int)", "CREATE TABLE public.t (n int)", "SELECT 1")


def test_postgres_is_the_same_on_every_machine(postgres_url: str) -> None:
    [row] = query(postgres_url, "SELECT current_setting('server_encoding'), current_setting('TimeZone')")
    assert row == ("UTF8", "UTC")
    assert query(postgres_url, "SELECT s FROM (VALUES ('é'), ('a'), ('B')) AS v (s) ORDER BY s") == [
        ("B",),
        ("a",),
        ("é",),
    ]


def test_the_pipelines_role_is_ordinary(postgres_url: str, postgres: PostgresServer) -> None:
    superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    assert query(postgres_url, superuser) == [(False,)]
    assert query(postgres.superuser_url, superuser) == [(True,)]


def test_a_database_may_have_another_name_and_owner(postgres: PostgresServer) -> None:
    name = 'odd "name"/é'
    postgres.create_database(name)
    postgres.create_role("reader")
    with postgres.superuser() as run:
        run.execute(SQL("ALTER DATABASE {} OWNER TO reader").format(Identifier(name)))
    url = postgres.url(name, "reader")
    assert query(url, "SELECT current_database(), current_user") == [(name, "reader")]


@pytest.mark.parametrize("password", ["", "wrong"])
def test_postgres_refuses_a_wrong_password(password: str, postgres: PostgresServer) -> None:
    url = f"postgresql://postgres:{password}@127.0.0.1:{postgres.port}/postgres"
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(url)


def test_psql_of_the_wheel_works(postgres_url: str) -> None:
    answer = subprocess.check_output([binary("psql"), postgres_url, "-Atc", "SELECT 6 * 7"], text=True)
    assert answer == "42\n"


@pytest.mark.parametrize(
    "key",
    [
        "2023-01-01 00:00:00.parquet",
        "a+b c%d%2Fe&f=g#h;i,j'k\"l.csv",
        "日本/é/😀/e\u0301.json",
        "*?[x]/~",
    ],
)
def test_s3_keeps_any_key(key: str, s3_bucket: str) -> None:
    bucket = store(s3_bucket)
    obstore.put(bucket, key, key.encode())
    assert keys(bucket) == [key]
    assert bytes(obstore.get(bucket, key).bytes()) == key.encode()


def test_s3_etags_follow_the_content(s3_bucket: str) -> None:
    bucket = store(s3_bucket)
    for content in (b"", b"one", b"two"):
        obstore.put(bucket, "key", content)
        expected = {"path": "key", "size": len(content), "e_tag": f'"{hashlib.md5(content).hexdigest()}"'}
        [[listed]] = obstore.list(bucket)
        assert expected.items() <= listed.items()
        assert expected.items() <= obstore.head(bucket, "key").items()


def test_s3_respects_conditions_of_requests(s3_bucket: str) -> None:
    bucket = store(s3_bucket)
    old = obstore.put(bucket, "key", b"old")["e_tag"]
    assert bytes(obstore.get(bucket, "key", options={"if_match": old}).bytes()) == b"old"
    obstore.put(bucket, "key", b"new")
    with pytest.raises(obstore.exceptions.PreconditionError):
        obstore.get(bucket, "key", options={"if_match": old})
    with pytest.raises(obstore.exceptions.AlreadyExistsError):
        obstore.put(bucket, "key", b"newer", mode="create")


def test_s3_lists_more_keys_than_a_page(s3_bucket: str) -> None:
    bucket = store(s3_bucket)
    expected = [f"year/{number:04}.csv" for number in range(1, 1102)]
    put_all(bucket, expected)
    assert keys(bucket, "year") == expected
    assert keys(bucket, "year", offset="year/0099.csv") == expected[99:]


def put_all(bucket: S3Store, names: Iterable[str]) -> None:
    for name in names:
        obstore.put(bucket, name, b"x", use_multipart=False)


def test_a_key_may_begin_like_another(s3_bucket: str) -> None:
    bucket = store(s3_bucket)
    put_all(bucket, ["a", "a/b", "c/d", "c"])
    assert sorted(keys(bucket)) == ["a", "a/b", "c", "c/d"]


def test_s3_refuses_unknown_credentials_and_missing_buckets(s3_bucket: str) -> None:
    with pytest.raises(obstore.exceptions.BaseError, match="SignatureDoesNotMatch"):
        keys(store(s3_bucket, secret_access_key="wrong"))
    with pytest.raises(FileNotFoundError, match="NoSuchBucket"):
        obstore.put(store("s3://no-such-bucket"), "key", b"")


def test_servers_listen_on_loopback_only(postgres: PostgresServer, s3: S3Server) -> None:
    for pid, port in ((postgres.pid, postgres.port), (s3.pid, urlsplit(s3.endpoint).port)):
        sockets = listening(pid)
        assert ("127.0.0.1", port) in sockets
        assert {address for address, _ in sockets} == {"127.0.0.1"}
        assert all(number in ports.PORTS for _, number in sockets), "weed's fixed ports would collide"


def test_servers_run_side_by_side(postgres: PostgresServer, s3: S3Server, tmp_path: Path) -> None:
    with postgres_server(tmp_path, {**FAST, "work_mem": "7MB"}) as other, s3_server(tmp_path) as other_s3:
        assert query(other.fresh_dev(), "SHOW work_mem") == [("7MB",)]
        assert query(postgres.fresh_dev(), "SHOW work_mem") != [("7MB",)]
        assert not set(listening(s3.pid)) & set(listening(other_s3.pid))
        other_s3.create_bucket("only-here")
        with pytest.raises(obstore.exceptions.BaseError, match="NoSuchBucket"):
            keys(s3.store("only-here"))
    assert not any(psutil.pid_exists(server.pid) for server in (other, other_s3))
    assert not any(server.log.parent.exists() for server in (other, other_s3))
    assert postgres.answers()
    assert s3.answers()


def test_a_port_in_use_is_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server
) -> None:
    offers = iter([[urlsplit(s3.endpoint).port], ports.free_ports(1)])
    monkeypatch.setattr("scx_pipeline_tests.support.servers.postgres.free_ports", lambda count: next(offers))
    with postgres_server(tmp_path, FAST) as server:
        assert server.answers()


def test_the_log_of_a_failed_server_is_shown(tmp_path: Path) -> None:
    bad = postgres_server(tmp_path, {"no_such_setting": "1"})
    with pytest.raises(ports.ServerExited, match="unrecognized configuration parameter"), bad:
        pass


def test_nothing_survives_kill_9(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from scx_pipeline_tests.support.servers.postgres import postgres_server\n"
        "from scx_pipeline_tests.support.servers.s3 import s3_server\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with postgres_server(folder) as postgres, s3_server(folder) as s3:\n"
        "    print(postgres.pid, s3.pid, postgres.log.parent, s3.log.parent, s3.endpoint, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        *pids, home, s3_home, endpoint = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    assert wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids))
    files = [Path(home), Path(s3_home), Path(f"/tmp/seaweedfs-s3-{urlsplit(endpoint).port}.sock")]
    assert wait_for(lambda: not any(file.exists() for file in files))


def run_pytest(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the project's conftest over the tests in a folder."""
    command = [sys.executable, "-m", "pytest", "-p", "scx_pipeline_tests.conftest", "-c", os.devnull, "-q"]
    return subprocess.run(
        [*command, "--rootdir", str(folder), *arguments, str(folder)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables},
        capture_output=True,
        text=True,
    )


def test_quick_tests_come_first_and_carry_markers(tmp_path: Path) -> None:
    for name, fixture in {"a": "java", "b": "chromium", "c": "s3_bucket", "d": ""}.items():
        (tmp_path / f"test_{name}.py").write_text(f"def test_it({fixture}): pass\n")
    (tmp_path / "test_c.py").write_text("def test_it(s3_bucket): pass\ndef test_free(): pass\n")
    order = [("test_c", "test_free"), ("test_d", "test_it")]
    order += [("test_c", "test_it"), ("test_b", "test_it"), ("test_a", "test_it")]
    everything = run_pytest(tmp_path, "--collect-only")
    reverse = run_pytest(tmp_path, "--collect-only", "--slowest-first")
    some = run_pytest(tmp_path, "--collect-only", "-m", "s3 or ui")
    assert re.findall(r"(\w+).py::(\w+)", everything.stdout) == order
    assert re.findall(r"(\w+).py::(\w+)", reverse.stdout) == [*order[:1:-1], *order[:2]]
    assert re.findall(r"(\w+).py::", some.stdout) == ["test_c", "test_b"]


def test_the_developers_environment_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os\n"
        "def found(): return [name for name in os.environ if os.environ[name] == 'a secret of mine']\n"
        "AT_IMPORT = found()\n"
        "def test_it(): assert not AT_IMPORT and not found()\n"
    )
    mine = dict.fromkeys(("SCX_X", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "DAGSTER_HOME"), "a secret of mine")
    run = run_pytest(tmp_path, **mine)
    assert run.returncode == 0, run.stdout
