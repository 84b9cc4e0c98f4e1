"""`scx cluster spark` as it is typed: what is shown, asked and printed, and that nothing happens before the answer.
What becomes of it in AWS is in test_spark.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from scx_pipeline.cli.main import app
from scx_pipeline.cluster import spark
from scx_pipeline.errors import SettingsError

PLACES = ("--bucket", "s3://scx-logs", "--lake", "s3://scx-lake/stars")


def typed(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["cluster", "spark", *arguments], input=answer)


def names() -> list[str]:
    states = ["CREATED", "STARTED", "STOPPED"]
    listed = boto3.client("emr-serverless").list_applications(states=states)["applications"]
    return [item["name"] for item in listed]


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("AWS was asked")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)


@pytest.mark.usefixtures("no_aws")
def test_a_dry_run_shows_price_settings_request_and_policies_and_asks_aws_nothing() -> None:
    done = typed("create", *PLACES, "--dry-run", "--max-vcpu", "8")
    assert done.exit_code == 0, done.output
    price, _, shown = done.stdout.partition("\n{")
    assert "at most about" in price
    found: dict[str, Any] = json.loads("{" + shown)
    assert list(found) == [
        "settings",
        "application",
        "role scx-spark-eu-west-1: who may use it",
        "role scx-spark-eu-west-1: what it may do",
        "for whoever runs the pipeline",
    ]
    assert (found["settings"]["region"], found["settings"]["max_vcpu"]) == ("eu-west-1", 8)
    assert found["application"]["maximumCapacity"]["cpu"] == "8 vCPU"


@pytest.mark.usefixtures("no_aws")
def test_create_tells_the_price_and_asks_first() -> None:
    done = typed("create", *PLACES, answer="n\n")
    assert done.exit_code == 1
    assert "nothing while no job runs" in done.stdout
    assert "Make the EMR Serverless application scx in eu-west-1?" in done.stdout


def test_create_takes_its_settings_from_a_file_and_prints_what_the_pipeline_needs(tmp_path: Path) -> None:
    file = tmp_path / "emr.yaml"
    file.write_text(
        "bucket: s3://scx-logs\nlake: s3://scx-lake/stars\nname: lake\ncode: s3://scx-code/spark\n"
    )
    done = typed("create", "--file", str(file), "--yes")
    assert done.exit_code == 0, done.output
    assert names() == ["lake"]
    [identity] = re.findall(r"^export SCX_SPARK_APPLICATION='(\w+)'$", done.stdout, re.MULTILINE)
    lines = done.stdout.splitlines()
    assert lines[-4:] == [
        "export SCX_SPARK='emr-serverless'",
        f"export SCX_SPARK_APPLICATION='{identity}'",
        "export SCX_SPARK_ROLE='arn:aws:iam::123456789012:role/lake-spark-eu-west-1'",
        "export SCX_SPARK_CODE='s3://scx-code/spark'",
    ]
    policy = json.loads(done.stdout[done.stdout.index("{") : done.stdout.index("export ")])
    [statement, *_] = policy["for whoever runs the pipeline"]["Statement"]
    assert statement["Resource"] == [
        f"arn:aws:emr-serverless:eu-west-1:123456789012:/applications/{identity}"
    ]
    told = typed("status", "--file", str(file)).stdout
    assert told.splitlines()[-4:] == lines[-4:]


def test_status_is_told_as_a_table_or_as_json() -> None:
    assert "absent" in typed("status").stdout
    typed("create", *PLACES, "--yes")
    shown = typed("status").stdout
    assert "at most: 16 vCPU, 128 GB, 200 GB" in shown
    assert "costs now: nothing, as no job runs" in shown
    assert "export" not in shown  # where the code is, a name alone does not say
    found = json.loads(typed("status", "--json").stdout)
    assert [(part["kind"], part["state"]) for part in found["parts"]] == [
        ("application", "STARTED"),
        ("role", "present"),
    ]
    assert found["runs"] == []


@pytest.mark.parametrize(("answer", "left"), [("scx\n", []), ("yes\n", ["scx"])])
def test_destroy_wants_the_name(answer: str, left: list[str]) -> None:
    typed("create", *PLACES, "--yes")
    typed("destroy", answer=answer)
    assert names() == left


def test_force_cancels_what_runs_before_it_destroys(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(spark, "cancel_runs", lambda plan, notify: done.append("cancel"))
    monkeypatch.setattr(spark, "destroy", lambda plan, notify: done.append("destroy"))
    typed("destroy", "--yes")
    assert done == ["destroy"]
    typed("destroy", "--yes", "--force")
    assert done == ["destroy", "cancel", "destroy"]


def test_the_region_is_typed_or_of_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    typed("create", *PLACES, "--region", "us-west-2", "--yes")
    assert names() == []
    assert "STARTED" in typed("status", "--region", "us-west-2").stdout
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    done = typed("status")
    assert isinstance(done.exception, SettingsError)
    assert "--region: Field required" in str(done.exception)
