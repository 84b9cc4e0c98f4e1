"""Other processes leave no secret: `scx load`, and runs of Dagster's daemon, by each way to log in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from scx_pipeline.orchestration.partitions import range_tags
from scx_pipeline.orchestration.runs.instance import CONFIG, prepare_home
from scx_pipeline_tests.support.leaks import LocatedText, leaks, texts_below, texts_of_tables
from scx_pipeline_tests.support.load_env import APRIL, LoadEnv, job, jobs_of, range_of_keys
from scx_pipeline_tests.support.redshift.server import StandIn
from scx_pipeline_tests.support.redshift.wire import Failure
from scx_pipeline_tests.support.servers.ports import LOOPBACK
from scx_pipeline_tests.support.servers.s3 import S3Server
from scx_pipeline_tests.ui.site import PROJECT, Site, dagster_dev

PASSWORD = "pl4nted/@:% p+ss?w#rd"
WRONG = "wr0ng/@:% p+ss?w#rd"
JOBS = 30
REFUSAL = "the stand-in refuses this COPY"
# The run keeps the log lines of all libraries at all levels.
ALL_LOGS = "python_logs:\n  managed_python_loggers: [root]\n  python_log_level: DEBUG\n"
LAUNCH = """
mutation ($tags: [ExecutionTag!]) { launchRun(executionParams: {
  selector: {repositoryLocationName: "scx_pipeline", repositoryName: "__repository__", jobName: "scx"}
  executionMetadata: {tags: $tags}
}) { __typename ... on PythonError { message } } }
"""


@contextmanager
def secrets_manager(user: str, password: str) -> Iterator[str]:
    """Run an AWS Secrets Manager with one secret, and return its address."""

    class BuildResult(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            secret = json.dumps({"username": user, "password": password})
            body = json.dumps({"Name": "redshift/scx", "SecretString": secret}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), BuildResult) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_port}"
        server.shutdown()


@dataclass
class LoginEnv:
    """A bucket, the stand-in, their environment variables, and the output of processes."""

    load_env: LoadEnv
    redshift: StandIn
    folder: Path
    settings: dict[str, str]
    secrets: list[str]
    said: list[LocatedText] = field(default_factory=list)

    def load(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `scx load` of April in a separate process."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("scx")), "load", "scx", "--month", APRIL],
            env={**os.environ, **self.settings, **settings},
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        self.said += [("stdout", done.stdout), ("stderr", done.stderr)]
        return done

    def put(self, first: int) -> None:
        """Put jobs of April, and an invalid row."""
        jobs = [job(first + n, "2021-04-05 10:00:00") for n in range(JOBS)]
        self.load_env.put("2021/04/a.csv", [*jobs, "1,10,short"])

    def table_exists(self, first: int) -> bool:
        """Return whether exactly these jobs are published."""
        return sorted(jobs_of(self.load_env)) == list(range(first, first + JOBS))

    def left(self) -> list[LocatedText]:
        """Return all output and files so far."""
        statements = [("a statement", sql) for sql in self.redshift.statements]
        tables = texts_of_tables(self.redshift.backend_url)
        return [*self.said, *statements, *tables, *texts_below(self.folder)]


@pytest.fixture(params=["password", "secret"])
def login_env(
    request: pytest.FixtureRequest, tmp_path: Path, redshift: StandIn, redshift_url: str, s3: S3Server
) -> Iterator[LoginEnv]:
    """Provide the stand-in with a planted password, in the URL or in AWS Secrets Manager."""
    redshift.users["scx"] = PASSWORD
    staging = redshift_url.partition("&staging=")[2]
    bucket = staging.removesuffix("/staging")
    login = redshift.url() if request.param == "password" else redshift.url().replace(_login(PASSWORD), "", 1)
    how = "" if request.param == "password" else "&secret=redshift/scx"
    folder = tmp_path / "home"
    prepare_home(folder / "home" / "dagster")
    with (folder / "home" / "dagster" / CONFIG).open("a") as config:
        config.write(ALL_LOGS)
    with secrets_manager("scx", PASSWORD) as address:
        settings = {
            "SCX_HOME": str(folder / "home"),
            "SCX_BUCKET_URL": bucket,
            "SCX_WAREHOUSE_URL": f"{login}&staging={staging}{how}",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": address,
            "HOME": str(folder),
            "PYTHONPATH": str(PROJECT),
        }
        load_env = LoadEnv(bucket, f"{redshift.url()}&staging={staging}")
        yield LoginEnv(load_env, redshift, folder, settings, [PASSWORD, WRONG, s3.secret_key])


def _login(password: str) -> str:
    return f"scx:{quote(password, safe='')}@"


def refuse(sql: str) -> None:
    """Fail each COPY."""
    if sql.startswith("COPY"):
        raise Failure("XX000", REFUSAL)


def found(word: str, texts: list[LocatedText]) -> set[str]:
    """Return where a word that is not secret is found, which shows that a secret would be found there too."""
    return {where for where, text in texts if word in text}


def test_an_scx_load_process_leaves_no_secret_whether_it_succeeds_or_fails(login_env: LoginEnv) -> None:
    login_env.put(1)
    done = login_env.load()
    assert done.returncode == 0, done.stderr
    assert login_env.table_exists(1)
    login_env.put(101)
    login_env.redshift.before = refuse
    refused = login_env.load()
    login_env.redshift.before = lambda sql: None
    assert refused.returncode == 1
    assert f"{REFUSAL}; nothing was changed" in refused.stderr
    wrong = login_env.settings["SCX_WAREHOUSE_URL"].replace(_login(PASSWORD), _login(WRONG))
    login_env.redshift.users["scx"] = "another"
    assert "password authentication failed" in login_env.load(SCX_WAREHOUSE_URL=wrong).stderr
    login_env.redshift.users["scx"] = PASSWORD
    assert login_env.table_exists(1)
    _nothing_leaked(login_env, "stderr")


@pytest.mark.parametrize("login_env", ["password"], indirect=True)
def test_runs_of_the_daemon_leave_no_secret_whether_they_succeed_or_fail(
    login_env: LoginEnv, s3: S3Server
) -> None:
    bucket = login_env.settings["SCX_BUCKET_URL"].removeprefix("s3://")
    more = {name: value for name, value in login_env.settings.items() if name != "SCX_HOME"}
    with dagster_dev(login_env.folder, s3, bucket, more) as site:
        login_env.put(1)
        assert launched(site, 1) == "SUCCESS"
        assert login_env.table_exists(1)
        login_env.put(101)
        login_env.redshift.before = refuse
        assert launched(site, 2) == "FAILURE"
        login_env.redshift.before = lambda sql: None
        assert login_env.table_exists(1)
        _nothing_leaked(login_env, "home/server.log")


def launched(site: Site, number: int) -> str:
    """Let the daemon run the star's job for April, and return its status."""
    tags = [{"key": key, "value": value} for key, value in range_tags(range_of_keys(APRIL)).items()]
    assert site.query_graphql(LAUNCH, tags=tags)["launchRun"]["__typename"] == "LaunchRunSuccess"
    return str(site.wait_for_run(number)["status"])


def _nothing_leaked(login_env: LoginEnv, screen: str) -> None:
    """Assert that no spelling of a secret is anywhere, while known words are found everywhere."""
    texts = login_env.left()
    assert "runs.db, snapshots" in found("SCX_WAREHOUSE_URL", texts)
    assert {screen, "index.db, event_logs"} <= found(REFUSAL, texts)
    assert "a statement" in found(login_env.settings["SCX_BUCKET_URL"], texts)
    assert {"scx_pipeline.rejected_rows", "scx_pipeline.check_results"} <= found("the header 22", texts)
    assert "scx_pipeline.loads" in {where for where, _ in texts}
    assert leaks(login_env.secrets, texts) == []
