"""Checks of a deployment: settings, passwords, the port, and Dagster's home, instance, database and workspace file.

The services' program is Dagster's, and is not started here.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from scx_pipeline.errors import SettingsError
from scx_pipeline.services.check import EXAMPLES, CheckContext
from scx_pipeline.services.environment_checks import check_listing
from scx_pipeline.warehouse.driver_errors import first_line
from scx_pipeline.warehouse.open_warehouse import connection_info

INSTANCE_FILE = "dagster.yaml"
CONNECT_SECONDS = 15
LOCAL_ONLY = "local-only"  # the prefix of every password in .env.example
# The compose file's own hosts, and this machine.
LOCAL_HOSTS = frozenset({"postgres", "s3", "localhost", "127.0.0.1", "::1", ""})


def check_required_settings(context: CheckContext) -> None:
    """Check that the settings are set that have no default in a deployment. Raises SettingsError."""
    for name in ("SCX_BUCKET_URL", "SCX_WAREHOUSE_URL"):
        if not context.environment.get(name):
            raise _missing_setting(name, "a deployed code location has no default for it")


def check_passwords(context: CheckContext) -> None:
    """Check that passwords from the example file are used only on this machine. Raises SettingsError."""
    environment = context.environment
    warehouse = connection_info(context.settings.warehouse)
    endpoint = environment.get("AWS_ENDPOINT_URL") or "https://amazonaws.com"
    hosts = {
        "SCX_WAREHOUSE_URL": str(warehouse.get("host") or ""),
        "DAGSTER_POSTGRES_PASSWORD": environment.get("DAGSTER_POSTGRES_HOST", ""),
        "AWS_SECRET_ACCESS_KEY": urlsplit(endpoint).hostname or "",
    }
    for name, host in hosts.items():
        if LOCAL_ONLY in environment.get(name, "") and host not in LOCAL_HOSTS:
            raise SettingsError(
                f"{name} has a password from .env.example, which is only for the compose file on this machine, but {host} is "
                "another host: set a password of its own, for example one that `openssl rand -hex 24` prints"
            )


def check_port(context: CheckContext) -> None:
    """Check that the service's address is free. Raises SettingsError."""
    assert context.address is not None
    check_address(*context.address)


def check_address(host: str, port: int, setting: str = "--port") -> None:
    """Check that no process listens on an address.

    Args:
        host: the address to listen on.
        port: its port.
        setting: the setting that an error names.

    Raises:
        SettingsError: if the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{setting} {port}: cannot listen on {host}:{port} ({error.strerror}); stop the "
                f"process that uses it, or choose another port, for example {setting} {port + 1}"
            ) from None


def prepare_dagster_home(context: CheckContext) -> str:
    """Create DAGSTER_HOME if it is missing. Raises PipelineError if it cannot be written to."""
    from scx_pipeline.orchestration.runs.instance import prepare_home

    prepare_home(context.settings.dagster_home)
    return str(context.settings.dagster_home)


def check_instance(context: CheckContext) -> None:
    """Check that Dagster's instance can be opened: dagster.yaml exists, its variables are set, its database answers.

    Raises:
        SettingsError: also if the bucket of the runs' output cannot be listed.
    """
    home, environment = context.settings.dagster_home, context.environment
    config = _read_yaml(home / INSTANCE_FILE, "DAGSTER_HOME", "copy deploy/dagster/dagster.yaml there")
    check_variables(config, home / INSTANCE_FILE, environment)
    database = config.get("storage", {}).get("postgres", {}).get("postgres_db")
    if database:
        _check_database({name: _resolve(value, environment) for name, value in database.items()})
    logs = config.get("compute_logs", {})
    if logs.get("class") == "S3ComputeLogManager":
        bucket = _resolve(logs["config"]["bucket"], environment)
        check_listing(f"s3://{bucket}", "DAGSTER_LOGS_BUCKET, for the output of runs")


def check_workspace(context: CheckContext) -> None:
    """Check that the workspace file can be read and that its variables are set. Raises SettingsError."""
    path = context.workspace
    assert path is not None
    config = _read_yaml(path, "--workspace", "use deploy/dagster/workspace.yaml")
    check_variables(config, path, context.environment)


def check_variables(config: Any, path: Path, environment: Mapping[str, str]) -> None:
    """Check that every variable that one of Dagster's files names is set. Raises SettingsError for the first that is not."""
    for key, name in find_variables(config):
        if not environment.get(name):
            raise _missing_setting(name, f"{path} needs it for {'.'.join(key)}")


def find_variables(config: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of keys and the name of each variable that is written as {env: NAME}."""
    if isinstance(config, dict):
        if set(config) == {"env"}:
            yield key, str(config["env"])
        for name, part in config.items():
            yield from find_variables(part, (*key, str(name)))
    elif isinstance(config, list):
        for part in config:
            yield from find_variables(part, key)


def _missing_setting(name: str, reason: str) -> SettingsError:
    """Return the error for a setting that is not set, with an example."""
    return SettingsError(f"{name} is not set, and {reason}; for example, {name}={EXAMPLES.get(name, '…')}")


def _resolve(value: Any, environment: Mapping[str, str]) -> str:
    return environment.get(value["env"], "") if isinstance(value, dict) else str(value)


def _read_yaml(path: Path, setting: str, advice: str) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8")) or {}
    except OSError as error:
        raise SettingsError(f"{setting}: cannot read {path} ({error.strerror}): {advice}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _check_database(options: Mapping[str, str]) -> None:
    """Check that Dagster's own database accepts a connection."""
    import psycopg2

    host, port, name = options.get("hostname", ""), options.get("port", "5432"), options.get("db_name", "")
    if not port.isdigit():
        raise SettingsError(f"DAGSTER_POSTGRES_PORT is {port!r}, not a port number; for example, 5432")
    try:
        psycopg2.connect(
            host=host,
            port=port,
            dbname=name,
            user=options.get("username"),
            password=options.get("password"),
            connect_timeout=CONNECT_SECONDS,
        ).close()
    except psycopg2.Error as error:
        # The driver's line ends with the server's reason, and begins with host and address, which our own text names.
        reason = re.split(r"failed: ", first_line(error), maxsplit=1)[-1]
        raise SettingsError(
            f"Dagster's database {host}:{port}/{name} (DAGSTER_POSTGRES_HOST, _PORT, _USER, _PASSWORD, _DB) refuses the "
            f"connection: {reason}; for example, DAGSTER_POSTGRES_HOST={EXAMPLES['DAGSTER_POSTGRES_HOST']}"
        ) from None
