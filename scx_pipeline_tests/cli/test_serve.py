"""`scx serve`: a mistake in the settings stops a service before it starts, with one line that names the setting and an example.
That services start where all is well is tested in deploy/."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from scx_pipeline_tests.cli.conftest import Scx
from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports
from scx_pipeline_tests.support.servers.postgres import SUPERUSER, PostgresServer

ROOT = Path(__file__).parents[2]
WORKSPACE = str(ROOT / "deploy" / "dagster" / "workspace.yaml")
SERVICES = {
    "code": ("serve", "code", "--port"),
    "webserver": ("serve", "webserver", "--workspace", WORKSPACE, "--port"),
    "daemon": ("serve", "daemon", "--workspace", WORKSPACE),
}
OF_ALL = (
    "DAGSTER_POSTGRES_HOST",
    "DAGSTER_POSTGRES_PORT",
    "DAGSTER_POSTGRES_USER",
    "DAGSTER_POSTGRES_PASSWORD",
    "DAGSTER_POSTGRES_DB",
    "DAGSTER_LOGS_BUCKET",
)
Patch = pytest.MonkeyPatch


@pytest.fixture
def well(
    postgres: PostgresServer, postgres_url: str, s3_bucket: str, tmp_path: Path, monkeypatch: Patch
) -> Iterator[Patch]:
    """An environment in which every service would start; what a test changes of it is the mistake."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    values = {
        "DAGSTER_HOME": tmp_path,
        "DAGSTER_POSTGRES_HOST": LOOPBACK,
        "DAGSTER_POSTGRES_PORT": postgres.port,
        "DAGSTER_POSTGRES_USER": SUPERUSER,
        "DAGSTER_POSTGRES_PASSWORD": postgres.password,
        "DAGSTER_POSTGRES_DB": "postgres",
        "DAGSTER_LOGS_BUCKET": s3_bucket.removeprefix("s3://"),
        "SCX_BUCKET_URL": s3_bucket,
        "SCX_WAREHOUSE_URL": postgres_url,
        "SCX_CODE_HOST": "code.example.com",
        "SCX_CODE_PORT": 4000,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    # Where a service would become Dagster's process, the mistake was not seen.
    monkeypatch.setattr("os.execv", lambda path, arguments: pytest.fail(f"started {arguments}"))
    yield monkeypatch


def refused(scx: Scx, service: str, port: int | None = None) -> str:
    """The one line with which a service ends."""
    words = SERVICES[service]
    if words[-1] == "--port":
        words = (*words, str(port or free_ports(1)[0]))
    told = scx(*words)
    assert told.code == 1
    assert told.out == ""
    line = told.err.strip()
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("service", "name"),
    [
        *[(service, name) for service in SERVICES for name in OF_ALL],
        ("code", "SCX_BUCKET_URL"),
        ("code", "SCX_WAREHOUSE_URL"),
        ("webserver", "SCX_CODE_HOST"),
        ("daemon", "SCX_CODE_PORT"),
    ],
)
def test_a_missing_setting_is_named_with_an_example(scx: Scx, well: Patch, service: str, name: str) -> None:
    well.delenv(name)
    line = refused(scx, service)
    assert f"{name} is not set" in line
    assert f"such as {name}=" in line


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SCX_SENSORS", "on", "SCX_SENSORS: Input should be 'stopped' or 'running'"),
        ("SCX_SENSOR_SECONDS", "often", "SCX_SENSOR_SECONDS"),
        (
            "DAGSTER_POSTGRES_PORT",
            "five",
            "DAGSTER_POSTGRES_PORT is 'five', which is no number; such as 5432",
        ),
    ],
)
def test_a_malformed_setting_is_named(
    scx: Scx, well: Patch, service: str, name: str, value: str, says: str
) -> None:
    well.setenv(name, value)
    assert says in refused(scx, service)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SCX_WAREHOUSE_URL", "mysql://host/dev", "SCX_WAREHOUSE_URL"),
        ("SCX_BUCKET_URL", "scx-raw", "SCX_BUCKET_URL is 'scx-raw': write file:///folder or s3://bucket"),
    ],
)
def test_a_url_of_another_kind_is_named(scx: Scx, well: Patch, name: str, value: str, says: str) -> None:
    well.setenv(name, value)
    assert says in refused(scx, "code")


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_password_of_dagsters_database_is_told_and_not_shown(
    scx: Scx, well: Patch, service: str
) -> None:
    well.setenv("DAGSTER_POSTGRES_PASSWORD", "not-the-one")
    line = refused(scx, service)
    assert "password authentication failed" in line
    assert "_PASSWORD" in line
    assert "not-the-one" not in line


def test_a_wrong_password_of_the_warehouse_is_told_and_not_shown(
    scx: Scx, well: Patch, postgres: PostgresServer, postgres_url: str
) -> None:
    well.setenv("SCX_WAREHOUSE_URL", postgres_url.replace(quote(postgres.password, safe=""), "not-the-one"))
    line = refused(scx, "code")
    assert line.startswith("error: SCX_WAREHOUSE_URL: cannot connect to")
    assert "password authentication failed" in line
    assert "not-the-one" not in line


def test_a_database_that_does_not_answer_is_told(scx: Scx, well: Patch) -> None:
    well.setenv("DAGSTER_POSTGRES_PORT", str(free_ports(1)[0]))
    assert "DAGSTER_POSTGRES_HOST" in refused(scx, "daemon")


@pytest.mark.parametrize(
    ("name", "value"), [("DAGSTER_LOGS_BUCKET", "no-such-bucket"), ("SCX_BUCKET_URL", "s3://no-such-bucket")]
)
def test_an_absent_bucket_is_told(scx: Scx, well: Patch, name: str, value: str) -> None:
    well.setenv(name, value)
    line = refused(scx, "code")
    assert name in line
    assert "no-such-bucket" in line


@pytest.mark.parametrize("service", ["code", "webserver"])
def test_a_port_in_use_is_told(scx: Scx, well: Patch, service: str) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as taken:
        port = taken.getsockname()[1]
        line = refused(scx, service, port)
    assert f"cannot listen on {LOOPBACK}:{port} (Address already in use)" in line
    assert f"--port {port + 1}" in line


@pytest.mark.parametrize("service", SERVICES)
def test_a_home_without_dagster_yaml_is_told(scx: Scx, well: Patch, service: str, tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").unlink()
    assert "DAGSTER_HOME: " in refused(scx, service)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("host", "value", "secret"),
    [
        ("DAGSTER_POSTGRES_HOST", "db.example.com", "DAGSTER_POSTGRES_PASSWORD"),
        ("AWS_ENDPOINT_URL", "https://s3.example.com", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ENDPOINT_URL", "", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_the_examples_passwords_open_nothing_elsewhere(
    scx: Scx, well: Patch, service: str, host: str, value: str, secret: str
) -> None:
    well.setenv(secret, "local-only-example")
    well.setenv(host, value)
    assert f"{secret} has a password of .env.example" in refused(scx, service)


def test_the_examples_warehouse_password_opens_nothing_elsewhere(scx: Scx, well: Patch) -> None:
    well.setenv("SCX_WAREHOUSE_URL", "postgresql://scx_loader:local-only-loader@db.example.com/dev")
    line = refused(scx, "code")
    assert "SCX_WAREHOUSE_URL has a password of .env.example" in line
    assert "local-only-loader" not in line
