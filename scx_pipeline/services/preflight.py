"""What a service of a deployment looks at before it starts, so that a mistake stops it with one line that names the setting.
What the services do afterwards is Dagster's; `doctor` looks further, and writes a trial table."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
from scx_pipeline.errors import PipelineError, SettingsError
from scx_pipeline.settings import Settings
from scx_pipeline.storage.bucket import BucketOptions, open_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.open_warehouse import connection_info, open_warehouse

CONFIG = "dagster.yaml"
LOCAL_ONLY = "local-only"  # what every password of .env.example begins with
LOCAL_HOSTS = frozenset(
    {"postgres", "s3", "localhost", "127.0.0.1", "::1", ""}
)  # compose's own, and this machine
EXAMPLES = {
    "DAGSTER_POSTGRES_HOST": "db.example.com",
    "DAGSTER_POSTGRES_PORT": "5432",
    "DAGSTER_POSTGRES_USER": "dagster",
    "DAGSTER_POSTGRES_PASSWORD": "… (from the secret store)",
    "DAGSTER_POSTGRES_DB": "dagster",
    "DAGSTER_LOGS_BUCKET": "scx-dagster-logs",
    "SCX_CODE_HOST": "code.example.com",
    "SCX_CODE_PORT": "4000",
    "SCX_BUCKET_URL": "s3://scx-raw",
    "SCX_WAREHOUSE_URL": "redshift://host:5439/dev?iam_role=… or postgresql://scx_loader:password@host:5432/dev",
}
_NOWHERE = (
    "scx-pipeline-looks-here/"  # a prefix under which nothing lies: a listing of it is quick, or refused
)


@dataclass(frozen=True)
class Address:
    """Where a service shall listen."""

    host: str
    port: int


def check_instance(home: Path, environment: Mapping[str, str]) -> None:
    """Dagster's instance can be opened: its dagster.yaml is there, its variables are set, its database answers.

    Raises SettingsError, or PipelineError where the database or the bucket of the runs' output refuses.
    """
    config = _read_yaml(home / CONFIG, "DAGSTER_HOME", "copy the project's dagster.yaml there")
    check_variables(config, home / CONFIG, environment)
    database = config.get("storage", {}).get("postgres", {}).get("postgres_db")
    if database:
        _check_database({name: _value(said, environment) for name, said in database.items()})
    logs = config.get("compute_logs", {})
    if logs.get("class") == "S3ComputeLogManager":
        bucket = _value(logs["config"]["bucket"], environment)
        _look_into(f"s3://{bucket}", "DAGSTER_LOGS_BUCKET, for what runs print")


def check_workspace(path: Path, environment: Mapping[str, str]) -> None:
    """The file that says where the code server is can be read. Raises SettingsError."""
    check_variables(_read_yaml(path, "--workspace", "give deploy/dagster/workspace.yaml"), path, environment)


def check_location(settings: Settings, limits: Limits, environment: Mapping[str, str]) -> None:
    """What runs need is there: the stars, the bucket, the warehouse. Raises PipelineError."""
    for name in ("SCX_BUCKET_URL", "SCX_WAREHOUSE_URL"):
        if not environment.get(name):
            raise _unset(name, "a served code location has no default for it")
    for star in star_names():
        load_star(stars_folder() / star)
    _look_into(settings.bucket, "SCX_BUCKET_URL")
    try:
        with open_warehouse(settings.warehouse, limits).reader():
            pass
    except PipelineError as error:
        raise SettingsError(f"SCX_WAREHOUSE_URL: {error}; such as {EXAMPLES['SCX_WAREHOUSE_URL']}") from None


def check_passwords(settings: Settings, environment: Mapping[str, str]) -> None:
    """The passwords of the example file open nothing outside the local compose file. Raises SettingsError."""
    hosts = {
        "SCX_WAREHOUSE_URL": _warehouse_host(settings),
        "DAGSTER_POSTGRES_PASSWORD": environment.get("DAGSTER_POSTGRES_HOST", ""),
        "AWS_SECRET_ACCESS_KEY": _host_of(environment.get("AWS_ENDPOINT_URL") or "https://amazonaws.com"),
    }
    for name, host in hosts.items():
        if LOCAL_ONLY in environment.get(name, "") and host not in LOCAL_HOSTS:
            raise SettingsError(
                f"{name} has a password of .env.example, which is for the compose file on this machine alone, and {host} is "
                "another: set one of its own, such as `openssl rand -hex 24` prints"
            )


def check_port(address: Address, setting: str = "--port") -> None:
    """Nobody listens there yet. Raises SettingsError, which names the setting that says so."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address.host, address.port))
        except OSError as error:
            raise SettingsError(
                f"{setting} {address.port}: cannot listen on {address.host}:{address.port} ({error.strerror}); stop what "
                f"listens there, or choose another, such as {setting} {address.port + 1}"
            ) from None


def check_variables(config: Any, path: Path, environment: Mapping[str, str]) -> None:
    """Every variable that a file of Dagster's names is set. Raises SettingsError for the first that is not."""
    for way, name in named_variables(config):
        if not environment.get(name):
            raise _unset(name, f"{path} needs it for {'.'.join(way)}")


def named_variables(config: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The variables that are named as {env: NAME}, and where."""
    if isinstance(config, dict):
        if set(config) == {"env"}:
            yield way, str(config["env"])
        for key, part in config.items():
            yield from named_variables(part, (*way, str(key)))
    elif isinstance(config, list):
        for part in config:
            yield from named_variables(part, way)


def _value(said: Any, environment: Mapping[str, str]) -> str:
    return environment.get(said["env"], "") if isinstance(said, dict) else str(said)


def _unset(name: str, why: str) -> SettingsError:
    return SettingsError(f"{name} is not set, and {why}; such as {name}={EXAMPLES.get(name, '…')}")


def _read_yaml(path: Path, setting: str, advice: str) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError as error:
        raise SettingsError(f"{setting}: {path} cannot be read ({error.strerror}): {advice}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def _check_database(parts: Mapping[str, str]) -> None:
    """Dagster's own database lets us in."""
    import psycopg2

    host, port, name = parts.get("hostname", ""), parts.get("port", "5432"), parts.get("db_name", "")
    if not port.isdigit():
        raise SettingsError(f"DAGSTER_POSTGRES_PORT is {port!r}, which is no number; such as 5432")
    try:
        psycopg2.connect(
            host=host,
            port=port,
            dbname=name,
            user=parts.get("username"),
            password=parts.get("password"),
            connect_timeout=15,
        ).close()
    except psycopg2.Error as error:
        # The driver's line ends with what the server said, and begins with a host and address that we name ourselves.
        reason = re.split(r"failed: ", first_line(error), maxsplit=1)[-1]
        raise SettingsError(
            f"Dagster's database {host}:{port}/{name} (DAGSTER_POSTGRES_HOST, _PORT, _USER, _PASSWORD, _DB) refuses: {reason}; "
            f"such as DAGSTER_POSTGRES_HOST={EXAMPLES['DAGSTER_POSTGRES_HOST']}"
        ) from None


def _look_into(url: str, setting: str) -> None:
    try:
        open_bucket(url, BucketOptions(retry_seconds=5)).list_objects(_NOWHERE)
    except PipelineError as error:
        raise SettingsError(f"{setting}: {error}; such as {EXAMPLES['SCX_BUCKET_URL']}") from None


def _warehouse_host(settings: Settings) -> str:
    _, facts = connection_info(settings.warehouse)
    return str(facts.get("host") or "")


def _host_of(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""
