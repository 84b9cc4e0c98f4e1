"""`scx cluster` as it is typed: what is shown, asked and printed, and that nothing happens before the answer.
What becomes of it in AWS is in test_provisioned.py and test_serverless.py."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner, Result

from scx_pipeline.cli.main import app
from scx_pipeline.errors import PipelineError

OWN = ("--kind", "provisioned")


def cluster(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["cluster", *arguments], input=answer)


def clusters() -> list[str]:
    return [item["ClusterIdentifier"] for item in boto3.client("redshift").describe_clusters()["Clusters"]]


def test_a_dry_run_shows_price_settings_and_policies_and_makes_nothing() -> None:
    done = cluster("create", *OWN, "--bucket", "s3://scx-logs", "--dry-run")
    price, _, shown = done.stdout.partition("\n{")
    assert "US dollars an hour" in price
    found = json.loads("{" + shown)
    assert found["settings"]["bucket"] == "s3://scx-logs"
    assert found["role scx-redshift-copy: what it may do"]["Statement"][0]["Action"] == "s3:GetObject"
    assert clusters() == []
    assert boto3.client("iam").list_roles()["Roles"] == []


def test_create_tells_the_price_and_asks_first() -> None:
    done = cluster("create", *OWN, "--bucket", "s3://scx-logs", answer="n\n")
    assert done.exit_code == 1
    assert "about 0.54 US dollars an hour" in done.stdout
    assert clusters() == []


def test_create_takes_its_settings_from_a_file_and_says_so_while_there_is_no_address(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("kind: provisioned\nbucket: s3://scx-logs\nname: logs\n")
    done = cluster("create", "--file", str(file), "--yes")
    # moto knows no secret of the administrator's, which AWS gives
    assert clusters() == ["logs"]
    assert isinstance(done.exception, PipelineError)
    assert "logs has no address yet" in str(done.exception)


def test_status_is_told_as_a_table_or_as_json() -> None:
    cluster("create", *OWN, "--bucket", "s3://scx-logs", "--yes")
    assert "available" in cluster("status", *OWN).stdout
    found = json.loads(cluster("status", *OWN, "--json").stdout)
    assert [(part["kind"], part["state"]) for part in found["parts"]] == [
        ("cluster", "available"),
        ("role", "present"),
    ]


@pytest.mark.parametrize(("answer", "left"), [("scx\n", []), ("yes\n", ["scx"])])
def test_destroy_wants_the_name(answer: str, left: list[str]) -> None:
    cluster("create", *OWN, "--bucket", "s3://scx-logs", "--yes")
    cluster("destroy", *OWN, answer=answer)
    assert clusters() == left


def test_pause_and_resume() -> None:
    cluster("create", *OWN, "--bucket", "s3://scx-logs", "--yes")
    for command, state in (("pause", "paused"), ("resume", "available")):
        assert cluster(command, *OWN).exit_code == 0
        assert state in cluster("status", *OWN).stdout
