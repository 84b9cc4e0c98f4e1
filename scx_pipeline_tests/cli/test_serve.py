"""`scx serve`: a wrong setting stops a service before it starts, with one line that names the setting and an example."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from scx_pipeline_tests.support.scx_command import Scx
from scx_pipeline_tests.support.servers.ports import LOOPBACK, free_ports
from scx_pipeline_tests.support.servers.postgres import SUPERUSER, PostgresServer

ROOT = Path(__file__).parents[2]
WORKSPACE = str(ROOT / "deploy" / "dagster" / "workspace.yaml")
SERVICES = {
    "code": ("serve", "code", "--port"),
    "webserver": ("serve", "webserver", "--workspace", WORKSPACE, "--port"),
    "daemon": ("serve", "daemon", "--workspace", WORKSPACE),
}
COMMON_SETTINGS = (
    "DAGSTER_POSTGRES_HOST",
    "DAGSTER_POSTGRES_PORT",
    "DAGSTER_POSTGRES_USER",
    "DAGSTER_POSTGRES_PASSWORD",
    "DAGSTER_POSTGRES_DB",
    "DAGSTER_LOGS_BUCKET",
)
Patch = pytest.MonkeyPatch


@pytest.fixture
def valid_environment(
    postgres: PostgresServer, postgres_url: str, s3_bucket: str, tmp_path: Path, monkeypatch: Patch
) -> Iterator[Patch]:
    """Set an environment in which every service starts; a test then makes one setting wrong."""
    shutil.copy(ROOT / "deploy" / "dagster" / "dagster.yaml", tmp_path)
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
    # A service that gets as far as Dagster's process has missed the wrong setting.
    monkeypatch.setattr("os.execv", lambda path, arguments: pytest.fail(f"started {arguments}"))
    yield monkeypatch


def start_refused(scx: Scx, service: str, port: int | None = None) -> str:
    """Run a service that must refuse to start, and return its one line of output."""
    words = SERVICES[service]
    if words[-1] == "--port":
        words = (*words, str(port or free_ports(1)[0]))
    result = scx(*words)
    assert result.code == 1
    assert result.out == ""
    line = result.err.strip()
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("service", "name"),
    [
        *[(service, name) for service in SERVICES for name in COMMON_SETTINGS],
        ("code", "SCX_BUCKET_URL"),
        ("code", "SCX_WAREHOUSE_URL"),
        ("webserver", "SCX_CODE_HOST"),
        ("daemon", "SCX_CODE_PORT"),
    ],
)
def test_serve_names_a_missing_setting_with_an_example(
    scx: Scx, valid_environment: Patch, service: str, name: str
) -> None:
    valid_environment.delenv(name)
    line = start_refused(scx, service)
    assert f"{name} is not set" in line
    assert f"for example, {name}=" in line


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SCX_SENSORS", "on", "SCX_SENSORS: Input should be 'stopped' or 'running'"),
        ("SCX_SENSOR_SECONDS", "often", "SCX_SENSOR_SECONDS"),
        (
            "DAGSTER_POSTGRES_PORT",
            "five",
            "DAGSTER_POSTGRES_PORT is 'five', not a port number; for example, 5432",
        ),
    ],
)
def test_serve_names_a_malformed_setting(
    scx: Scx, valid_environment: Patch, service: str, name: str, value: str, message: str
) -> None:
    valid_environment.setenv(name, value)
    assert message in start_refused(scx, service)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SCX_WAREHOUSE_URL", "mysql://host/dev", "SCX_WAREHOUSE_URL"),
        ("SCX_BUCKET_URL", "scx-raw", "SCX_BUCKET_URL is 'scx-raw': write file:///folder or s3://bucket"),
    ],
)
def test_serve_names_a_setting_with_an_unknown_kind_of_url(
    scx: Scx, valid_environment: Patch, name: str, value: str, message: str
) -> None:
    valid_environment.setenv(name, value)
    assert message in start_refused(scx, "code")


@pytest.mark.parametrize("service", SERVICES)
def test_serve_reports_a_wrong_password_of_dagsters_database_without_printing_it(
    scx: Scx, valid_environment: Patch, service: str
) -> None:
    valid_environment.setenv("DAGSTER_POSTGRES_PASSWORD", "not-the-one")
    line = start_refused(scx, service)
    assert "password authentication failed" in line
    assert "_PASSWORD" in line
    assert "not-the-one" not in line


def test_serve_reports_a_wrong_password_of_the_warehouse_without_printing_it(
    scx: Scx, valid_environment: Patch, postgres: PostgresServer, postgres_url: str
) -> None:
    valid_environment.setenv(
        "SCX_WAREHOUSE_URL", postgres_url.replace(quote(postgres.password, safe=""), "not-the-one")
    )
    line = start_refused(scx, "code")
    assert line.startswith("error: SCX_WAREHOUSE_URL: cannot connect to")
    assert "password authentication failed" in line
    assert "not-the-one" not in line


def test_serve_reports_an_unreachable_database(scx: Scx, valid_environment: Patch) -> None:
    valid_environment.setenv("DAGSTER_POSTGRES_PORT", str(free_ports(1)[0]))
    assert "DAGSTER_POSTGRES_HOST" in start_refused(scx, "daemon")


@pytest.mark.parametrize(
    ("name", "value"), [("DAGSTER_LOGS_BUCKET", "no-such-bucket"), ("SCX_BUCKET_URL", "s3://no-such-bucket")]
)
def test_serve_names_the_setting_of_a_missing_bucket(
    scx: Scx, valid_environment: Patch, name: str, value: str
) -> None:
    valid_environment.setenv(name, value)
    line = start_refused(scx, "code")
    assert name in line
    assert "no-such-bucket" in line


@pytest.mark.parametrize("service", ["code", "webserver"])
def test_serve_reports_a_port_in_use_and_suggests_another(
    scx: Scx, valid_environment: Patch, service: str
) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as taken:
        port = taken.getsockname()[1]
        line = start_refused(scx, service, port)
    assert f"cannot listen on {LOOPBACK}:{port} (Address already in use)" in line
    assert f"--port {port + 1}" in line


@pytest.mark.parametrize("service", SERVICES)
def test_serve_reports_a_dagster_home_without_dagster_yaml(
    scx: Scx, valid_environment: Patch, service: str, tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").unlink()
    assert "DAGSTER_HOME: " in start_refused(scx, service)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("host", "value", "secret"),
    [
        ("DAGSTER_POSTGRES_HOST", "db.example.com", "DAGSTER_POSTGRES_PASSWORD"),
        ("AWS_ENDPOINT_URL", "https://s3.example.com", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ENDPOINT_URL", "", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_serve_refuses_example_passwords_on_other_hosts(
    scx: Scx, valid_environment: Patch, service: str, host: str, value: str, secret: str
) -> None:
    valid_environment.setenv(secret, "local-only-example")
    valid_environment.setenv(host, value)
    assert f"{secret} has a password from .env.example" in start_refused(scx, service)


def test_serve_refuses_the_example_password_on_another_warehouse_host(
    scx: Scx, valid_environment: Patch
) -> None:
    valid_environment.setenv(
        "SCX_WAREHOUSE_URL", "postgresql://scx_loader:local-only-loader@db.example.com/dev"
    )
    line = start_refused(scx, "code")
    assert "SCX_WAREHOUSE_URL has a password from .env.example" in line
    assert "local-only-loader" not in line
