"""The request of a Spark job on EMR Serverless, which applications can run it, its failures in one line, and its settings.

Nothing is executed here.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from scx_pipeline.errors import SettingsError
from scx_pipeline.lake.build.build_request import BuildRequest
from scx_pipeline.lake.spark.code_archive import Code, open_code
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.orchestration.resources.lake_resource import LakeResource, lake_resource
from scx_pipeline.orchestration.spark.emr_serverless import failure_message, unusable_reason
from scx_pipeline.orchestration.spark.emr_serverless_job import Job, start_job_run_request, tag_text
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.support.music_env import music_star
from scx_pipeline_tests.support.servers.aws import APPLICATION, ROLE, breaches, input_of

CODE = Code("s3://c/code/lake_job-1.py", "s3://c/code/environment-1.tar.gz", "/usr/bin/python3.11")
MONTHS = MonthRange(Month(2018, 11), Month(2018, 12))


def job(scope: LoadScope = MONTHS, conf: dict[str, str] | None = None) -> Job:
    build_request = BuildRequest(music_star(), scope, "s3://logs", "s3://lake", "run", Limits())
    return Job(build_request, "run/songplays_lake-0", CODE, "eu-west-1", conf or {})


def conf_of(arguments: list[str]) -> dict[str, str]:
    """Return the Spark settings in the arguments of spark-submit; the last value of each counts."""
    pairs = [
        arguments[at + 1].partition("=") for at, argument in enumerate(arguments) if argument == "--conf"
    ]
    return {name: value for name, _, value in pairs}


def request(**changes: Any) -> dict[str, Any]:
    return start_job_run_request(job(**changes), APPLICATION, ROLE)


def test_request_names_code_environment_logs_and_months() -> None:
    found = request()
    spark = found["jobDriver"]["sparkSubmit"]
    assert list(breaches(input_of("emr-serverless", "StartJobRun"), found, "StartJobRun")) == []
    assert (found["applicationId"], found["executionRoleArn"]) == (APPLICATION, ROLE)
    assert found["name"] == "scx songplays 2018-11 to 2018-12"
    assert found["tags"] == {"star": "songplays", "months": "2018-11 to 2018-12"}
    assert found["executionTimeoutMinutes"] == 720
    assert spark["entryPoint"] == CODE.entry
    conf = conf_of(shlex.split(spark["sparkSubmitParameters"]))
    assert conf["spark.archives"] == "s3://c/code/environment-1.tar.gz#environment"
    for prefix in ("spark.emr-serverless.driverEnv", "spark.executorEnv"):
        assert conf[f"{prefix}.PYSPARK_PYTHON"] == "/usr/bin/python3.11"
        assert conf[f"{prefix}.PYTHONPATH"] == "./environment"
        assert conf[f"{prefix}.AWS_REGION"] == "eu-west-1"
    assert conf["spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON"] == "/usr/bin/python3.11"
    [logs] = found["configurationOverrides"]["monitoringConfiguration"].values()
    assert logs == {
        "enabled": True,
        "logGroupName": "/aws/emr-serverless",
        "logTypes": {"SPARK_DRIVER": ["STDERR", "STDOUT"]},
    }


def test_request_with_spark_conf_overrides_the_defaults() -> None:
    found = request(conf={"spark.executor.memory": "20g", "spark.executorEnv.PYSPARK_PYTHON": "python3"})
    conf = conf_of(shlex.split(found["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]))
    assert (conf["spark.executor.memory"], conf["spark.executorEnv.PYSPARK_PYTHON"]) == ("20g", "python3")
    assert conf["spark.driver.memory"] == "11g"


@pytest.mark.parametrize(
    ("scope", "months"),
    [(UNPARTITIONED, "no months"), (MonthRange(Month(2018, 11), Month(2018, 11)), "2018-11")],
)
def test_request_tags_one_month_or_none(scope: LoadScope, months: str) -> None:
    assert request(scope=scope)["tags"]["months"] == months


def test_request_when_repeated_is_identical_and_for_a_retry_has_another_token() -> None:
    assert request() == request()
    other = Job(job().request, "run/songplays_lake-1", CODE, "eu-west-1", {})
    assert other.token != job().token


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, None),
        ({"state": "STOPPED"}, None),
        (
            {"state": "STOPPED", "autoStartConfiguration": {"enabled": False}},
            "is STOPPED: start it .*start-application",
        ),
        (
            {"state": "STARTED", "autoStartConfiguration": {"enabled": False}},
            None,
        ),
        ({"state": "TERMINATED"}, "was deleted: create another"),
        ({"type": "Hive"}, "is of type Hive"),
        (
            {"releaseLabel": "emr-7.0.0"},
            "has release emr-7.0.0, which has no Python 3.11: use emr-7.1.0 or newer",
        ),
        ({"releaseLabel": "emr-6.15.0"}, "use emr-7.1.0"),
        ({"releaseLabel": "emr-6.15.0", "imageConfiguration": {"imageUri": "x"}}, None),
        ({"releaseLabel": "emr-spark-8.0.0"}, None),
    ],
)
def test_unusable_reason_depends_on_the_state_of_the_application(
    facts: dict[str, Any], reason: str | None
) -> None:
    application = {"state": "CREATED", "type": "Spark", "releaseLabel": "emr-7.12.0", **facts}
    found = unusable_reason(application)
    if reason is None:
        assert found is None
    else:
        assert re.search(reason, str(found))


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("Job failed, please check complete logs.\nExitCode: 1", "complete logs. ExitCode: 1; its log is in CloudWatch"),
        ("vCPU limit of the account\n", "raise the quota `Max concurrent vCPUs per account`"),
        ("Application has exceeded its maximum capacity settings", "raise the application's max_vcpu"),
        ("AccessDenied (Service: S3)", "give the role .SCX_SPARK_ROLE. the rights"),
        ("java.lang.OutOfMemoryError: Java heap space", "give it more memory: SCX_SPARK_CONF"),
        ("ModuleNotFoundError: No module named 'scx_pipeline'", "run `scx lake package`"),
        ("Job failed. \n", "is FAILED: Job failed; its log"),
        (None, "AWS gave no reason"),
    ],
)  # fmt: skip
def test_failure_message_is_one_line_with_advice(details: str | None, expected: str) -> None:
    run = {"jobRunId": "00run", "applicationId": APPLICATION, "state": "FAILED"}
    text = failure_message({**run, **({"stateDetails": details} if details else {})})
    assert re.search(expected, text)
    assert text.startswith("the job run 00run of EMR Serverless is FAILED: ")
    assert "\n" not in text


ON_AWS = {
    "spark": "emr-serverless",
    "bucket_url": "s3://logs",
    "lake_url": "s3://lake",
    "spark_application": APPLICATION,
    "spark_role": ROLE,
    "spark_code": "s3://logs/code",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spark_application": ""}, "SCX_SPARK=emr-serverless needs SCX_SPARK_APPLICATION, such as 00f1"),
        ({"spark_role": ""}, "needs SCX_SPARK_ROLE, such as arn:aws:iam"),
        ({"spark_code": ""}, "needs SCX_SPARK_CODE, such as s3://"),
        ({"spark_role": "scx-spark"}, "SCX_SPARK_ROLE is 'scx-spark': write its ARN"),
        ({"bucket_url": "file:///logs"}, "SCX_BUCKET_URL is 'file:///logs', which a job of SCX_SPARK=emr-serverless cannot reach"),
        ({"lake_url": ""}, r"SCX_LAKE_URL \(or --lake\) is 'file:///.*write s3://bucket/prefix"),
        ({"spark_code": "/code"}, "SCX_SPARK_CODE is '/code'"),
    ],
)  # fmt: skip
def test_check_with_a_missing_or_invalid_setting_names_it_with_an_example(
    change: dict[str, str], message: str
) -> None:
    settings = Settings.model_validate({**ON_AWS, **change})
    with pytest.raises(SettingsError, match=message) as caught:
        lake_resource(settings).check(settings.bucket)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spark", ["", "local", "emr-serverless"])
def test_check_with_complete_settings_passes(spark: str) -> None:
    settings = Settings.model_validate({**ON_AWS, "spark": spark, "spark_conf": "spark.a=1,spark.b=x=y"})
    resource: LakeResource = lake_resource(settings)
    resource.check(settings.bucket)
    assert resource.conf == {"spark.a": "1", "spark.b": "x=y"}


@pytest.mark.parametrize("spark", ["", "local"])
def test_check_without_emr_serverless_accepts_folders(spark: str) -> None:
    settings = Settings.model_validate({"spark": spark, "bucket_url": "file:///logs"})
    lake_resource(settings).check(settings.bucket)


@pytest.mark.parametrize("url", ["", "file:///code", "s3://", "code"])
def test_open_code_outside_s3_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="SCX_SPARK_CODE is .*: write s3://bucket/prefix"):
        open_code(url)


def test_key_joins_prefix_and_name() -> None:
    assert open_code("s3://c/code/").key("x") == "code/x"
    assert open_code("s3://c").key("x") == "x"


def test_tag_text_replaces_what_aws_refuses_and_cuts() -> None:
    assert tag_text("2018-11…2018-12 ünï" + "x" * 300)[:20] == "2018-11_2018-12 _n_x"
    assert len(tag_text("x" * 300)) == 256
