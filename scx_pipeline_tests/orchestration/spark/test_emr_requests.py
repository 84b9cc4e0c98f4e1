"""What EMR and EMR Serverless are asked, and what their failures mean: request texts, cluster files, settings.
Runs with these are in orchestration/ and spark/."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.validate import ParamValidator

from scx_pipeline.errors import SettingsError
from scx_pipeline.lake.build.build_request import BuildRequest
from scx_pipeline.lake.spark.code_archive import Code, open_code
from scx_pipeline.model.calendar import UNPARTITIONED, LoadScope, Month, MonthRange
from scx_pipeline.orchestration.resources.lake_resource import LakeResource, lake_resource
from scx_pipeline.orchestration.spark import emr, emr_cluster, emr_serverless
from scx_pipeline.orchestration.spark.spark_job import Job, in_one_line, tag_text
from scx_pipeline.settings import Settings
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.support.servers.emr import APPLICATION, ROLE, breaches, input_of

CODE = Code("s3://c/code/lake_job-1.py", "s3://c/code/environment-1.tar.gz", "/usr/bin/python3.11")
SPAN = MonthRange(Month(2018, 11), Month(2018, 12))
DOCUMENT = (Path(__file__).parents[3] / "docs" / "emr.md").read_text("utf-8")


def job(span: LoadScope = SPAN, conf: dict[str, str] | None = None) -> Job:
    order = BuildRequest("songplays", span, "s3://logs", "s3://lake", "run", Limits())
    return Job(order, "run/songplays_lake-0", CODE, "eu-west-1", conf or {})


def conf_of(arguments: list[str]) -> dict[str, str]:
    """The settings of Spark's in what spark-submit is given, the last of each."""
    pairs = [
        arguments[at + 1].partition("=") for at, argument in enumerate(arguments) if argument == "--conf"
    ]
    return {name: value for name, _, value in pairs}


# EMR Serverless


def serverless(**changes: Any) -> dict[str, Any]:
    return emr_serverless.request_of(job(**changes), APPLICATION, ROLE)


def test_a_job_run_is_asked_for_with_its_code_its_environment_and_what_it_is_for() -> None:
    request = serverless()
    spark = request["jobDriver"]["sparkSubmit"]
    assert list(breaches(input_of("emr-serverless", "StartJobRun"), request, "StartJobRun")) == []
    assert (request["applicationId"], request["executionRoleArn"]) == (APPLICATION, ROLE)
    assert request["name"] == "scx songplays 2018-11 to 2018-12"
    assert request["tags"] == {"star": "songplays", "months": "2018-11 to 2018-12"}
    assert request["executionTimeoutMinutes"] == 720
    assert spark["entryPoint"] == CODE.entry
    conf = conf_of(shlex.split(spark["sparkSubmitParameters"]))
    assert conf["spark.archives"] == "s3://c/code/environment-1.tar.gz#environment"
    for prefix in ("spark.emr-serverless.driverEnv", "spark.executorEnv"):
        assert conf[f"{prefix}.PYSPARK_PYTHON"] == "/usr/bin/python3.11"
        assert conf[f"{prefix}.PYTHONPATH"] == "./environment"
        assert conf[f"{prefix}.AWS_REGION"] == "eu-west-1"
    assert conf["spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON"] == "/usr/bin/python3.11"
    [logs] = request["configurationOverrides"]["monitoringConfiguration"].values()
    assert logs == {
        "enabled": True,
        "logGroupName": "/aws/emr-serverless",
        "logTypes": {"SPARK_DRIVER": ["STDERR", "STDOUT"]},
    }


def test_settings_of_spark_s_go_before_ours() -> None:
    request = serverless(conf={"spark.executor.memory": "20g", "spark.executorEnv.PYSPARK_PYTHON": "python3"})
    conf = conf_of(shlex.split(request["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"]))
    assert (conf["spark.executor.memory"], conf["spark.executorEnv.PYSPARK_PYTHON"]) == ("20g", "python3")
    assert conf["spark.driver.memory"] == "11g"


@pytest.mark.parametrize(
    ("span", "told"),
    [(UNPARTITIONED, "no months"), (MonthRange(Month(2018, 11), Month(2018, 11)), "2018-11")],
)
def test_one_month_and_none_are_told_so(span: LoadScope, told: str) -> None:
    assert serverless(scope=span)["tags"]["months"] == told


def test_a_request_that_is_repeated_is_the_same_and_another_try_is_another() -> None:
    assert serverless() == serverless()
    other = Job(job().order, "run/songplays_lake-1", CODE, "eu-west-1", {})
    assert other.token != job().token


@pytest.mark.parametrize(
    ("facts", "told"),
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
        ({"state": "TERMINATED"}, "was deleted: make another"),
        ({"type": "Hive"}, "is one of Hive"),
        ({"releaseLabel": "emr-7.0.0"}, "is of emr-7.0.0, which has no Python 3.11: take emr-7.1.0 or newer"),
        ({"releaseLabel": "emr-6.15.0"}, "take emr-7.1.0"),
        ({"releaseLabel": "emr-6.15.0", "imageConfiguration": {"imageUri": "x"}}, None),
        ({"releaseLabel": "emr-spark-8.0.0"}, None),
    ],
)
def test_an_application_that_no_job_can_run_on_is_told(facts: dict[str, Any], told: str | None) -> None:
    application = {"state": "CREATED", "type": "Spark", "releaseLabel": "emr-7.12.0", **facts}
    reason = emr_serverless.unfit(application)
    if told is None:
        assert reason is None
    else:
        assert re.search(told, str(reason))


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ("Job failed, please check complete logs.\nExitCode: 1", "complete logs. ExitCode: 1; its log is in CloudWatch"),
        ("vCPU limit of the account\n", "raise the quota `Max concurrent vCPUs per account`"),
        ("Application has exceeded its maximum capacity settings", "or the application's max_vcpu"),
        ("AccessDenied (Service: S3)", "let the role .SCX_SPARK_ROLE. do it"),
        ("java.lang.OutOfMemoryError: Java heap space", "give it more memory: SCX_SPARK_CONF"),
        ("ModuleNotFoundError: No module named 'scx_pipeline'", "run `scx lake package`"),
        (None, "no reason was given"),
    ],
)  # fmt: skip
def test_a_failed_job_run_is_one_line_with_what_to_do(details: str | None, told: str) -> None:
    run = {"jobRunId": "00run", "applicationId": APPLICATION, "state": "FAILED"}
    text = emr_serverless.failure({**run, **({"stateDetails": details} if details else {})})
    assert re.search(told, text)
    assert text.startswith("the job run 00run of EMR Serverless is FAILED: ")
    assert "\n" not in text


# EMR


def example() -> dict[str, Any]:
    """The cluster that docs/emr.md shows."""
    block = DOCUMENT.partition("<!-- cluster -->\n```yaml\n")[2].partition("```")[0]
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def written(folder: Path, request: Any) -> Path:
    file = folder / "emr.yaml"
    file.write_text(request if isinstance(request, str) else yaml.safe_dump(request))
    return file


def test_the_example_of_the_document_is_taken_as_it_stands(tmp_path: Path) -> None:
    cluster = emr_cluster.read_cluster(written(tmp_path, example()))
    request = emr_cluster.flow_of(job(), cluster)
    request["Steps"][0]["HadoopJarStep"]["Args"] = emr_cluster.step_arguments(job(), {})
    shape = input_of("emr", "RunJobFlow")
    assert not ParamValidator().validate(request, shape).has_errors()
    assert list(breaches(shape, request, "RunJobFlow")) == []
    assert cluster == example(), "the file's request is not changed"


def test_the_step_runs_the_job_once_in_the_cluster_that_ends_with_it() -> None:
    request = emr_cluster.flow_of(job(), {**example(), "Tags": [{"Key": "team", "Value": "data"}]})
    [step] = request["Steps"]
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert (step["Name"], step["ActionOnFailure"]) == (
        "scx songplays 2018-11 to 2018-12",
        "TERMINATE_CLUSTER",
    )
    assert request["Tags"] == [
        {"Key": "team", "Value": "data"},
        {"Key": "star", "Value": "songplays"},
        {"Key": "months", "Value": "2018-11 to 2018-12"},
    ]
    told = {"DAGSTER_PIPES_CONTEXT": "x+/="}
    arguments = emr_cluster.step_arguments(job(conf={"spark.executor.cores": "2"}), told)
    assert arguments[:3] == ["spark-submit", "--deploy-mode", "cluster"]
    assert arguments[-1] == CODE.entry
    conf = conf_of(arguments)
    assert conf["spark.yarn.appMasterEnv.DAGSTER_PIPES_CONTEXT"] == "x+/="
    assert "spark.executorEnv.DAGSTER_PIPES_CONTEXT" not in conf
    assert conf["spark.yarn.maxAppAttempts"] == "1"
    assert conf["spark.executor.cores"] == "2"
    for prefix in ("spark.yarn.appMasterEnv", "spark.executorEnv"):
        assert conf[f"{prefix}.PYTHONPATH"] == "./environment"


MISTAKES = {
    "ReleaseLabel": (None, "ReleaseLabel is missing; docs/emr.md has an example"),
    "JobFlowRole": (None, "JobFlowRole is missing"),
    "Name": (None, "Name is missing"),
    "Instances": ({"InstanceGroup": []}, r"Instances.InstanceGroup is unknown: did you mean InstanceGroups\?"),
    "Colour": ("red", "Colour is unknown: RunJobFlow has no such parameter"),
    "LogUri": (7, "Invalid type for parameter LogUri"),
    "Steps": ([{"Name": "x", "HadoopJarStep": {"Jar": "x"}}], "Steps is to be left out: the job is its only step"),
    "Applications": ([{"Name": "Hive"}], "Applications has no Spark"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_file_is_one_line_with_its_key(name: str, tmp_path: Path) -> None:
    value, told = MISTAKES[name]
    request = {**example(), name: value}
    if value is None:
        del request[name]
    with pytest.raises(SettingsError, match=rf"^SCX_SPARK_CLUSTER=.*emr.yaml: {told}") as caught:
        emr_cluster.read_cluster(written(tmp_path, request))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["KeepJobFlowAliveWhenNoSteps", "TerminationProtected"])
def test_a_cluster_that_would_outlive_its_job_is_refused(name: str, tmp_path: Path) -> None:
    request = example()
    request["Instances"][name] = True
    with pytest.raises(SettingsError, match=f"Instances.{name} is to be left out: the cluster ends with"):
        emr_cluster.read_cluster(written(tmp_path, request))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "write the parameters of RunJobFlow"),
        ("a: [\n", "is no YAML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_request_at_all_is_told(text: str | None, told: str, tmp_path: Path) -> None:
    file = tmp_path / "emr.yaml" if text is None else written(tmp_path, text)
    with pytest.raises(SettingsError, match=rf"SCX_SPARK_CLUSTER={file}.*{told}") as caught:
        emr_cluster.read_cluster(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("types", "processor"),
    [
        (["m7g.xlarge", "c6gn.large", "r8gd.2xlarge"], "arm64"),
        (["m5.xlarge", "g5.xlarge", "g4dn.xlarge", "gr6.4xlarge", "m7i-flex.large"], "x86_64"),
        (["g5g.xlarge"], "arm64"),
        ([], "x86_64"),
    ],
)
def test_the_processor_is_told_by_the_instances_names(types: list[str], processor: str) -> None:
    fleets = [{"InstanceTypeConfigs": [{"InstanceType": name} for name in types]}]
    assert emr_cluster.architecture_of({"Instances": {"InstanceFleets": fleets}}) == processor


def test_instances_of_both_processors_are_refused(tmp_path: Path) -> None:
    request = example()
    request["Instances"]["InstanceGroups"][0]["InstanceType"] = "m7g.xlarge"
    request["Instances"]["InstanceGroups"][1]["InstanceType"] = "m7i.xlarge"
    with pytest.raises(SettingsError, match="some of Graviton and some of x86"):
        emr_cluster.read_cluster(written(tmp_path, request))


@pytest.mark.parametrize(
    ("step", "cluster", "told"),
    [
        (
            {"State": "FAILED", "FailureDetails": {"Reason": "Unknown Error.", "LogFile": "s3://logs/j-1/steps/s-1/stderr.gz"}},
            {"State": "TERMINATING"},
            "is FAILED, the cluster TERMINATING: Unknown Error; its log: s3://logs/j-1/steps/s-1/stderr.gz",
        ),
        (
            {"State": "PENDING"},
            {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": {"Message": "On the master instance, bootstrap action 1 failed"}},
            "is PENDING, the cluster TERMINATED_WITH_ERRORS: On the master instance, bootstrap action 1 failed: see the logs of its boot",
        ),
        (
            {"State": "CANCELLED"},
            {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": {"Message": "Instance quota exceeded"}},
            "Instance quota exceeded: raise the account's quota",
        ),
        ({"State": "CANCELLED"}, {"State": "TERMINATED"}, "no reason was given; its log: s3://logs/emr"),
    ],
)  # fmt: skip
def test_a_cluster_that_failed_is_one_line_with_what_to_do(
    step: dict[str, Any], cluster: dict[str, Any], told: str
) -> None:
    text = emr.failure({"Id": "j-1", "Status": cluster, "LogUri": "s3://logs/emr"}, {"Status": step})
    assert told in text
    assert "\n" not in text


# Settings

ON_AWS = {
    "bucket_url": "s3://logs",
    "lake_url": "s3://lake",
    "spark_application": APPLICATION,
    "spark_role": ROLE,
    "spark_code": "s3://logs/code",
    "spark_cluster": "emr.yaml",
}


@pytest.mark.parametrize(
    ("spark", "change", "told"),
    [
        ("emr-serverless", {"spark_application": ""}, "SCX_SPARK=emr-serverless needs SCX_SPARK_APPLICATION, such as 00f1"),
        ("emr-serverless", {"spark_role": ""}, "needs SCX_SPARK_ROLE, such as arn:aws:iam"),
        ("emr-serverless", {"spark_code": ""}, "needs SCX_SPARK_CODE, such as s3://"),
        ("emr-serverless", {"spark_role": "scx-spark"}, "SCX_SPARK_ROLE is 'scx-spark': write its ARN"),
        ("emr", {"spark_code": ""}, "SCX_SPARK=emr needs SCX_SPARK_CODE, such as s3://"),
        ("emr", {"spark_cluster": ""}, "needs SCX_SPARK_CLUSTER, such as emr.yaml .docs/emr.md"),
        ("emr", {"bucket_url": "file:///logs"}, "SCX_BUCKET_URL is 'file:///logs', which a job of SCX_SPARK=emr cannot reach"),
        ("emr-serverless", {"lake_url": ""}, r"SCX_LAKE_URL \(or --lake\) is 'file:///.*write s3://bucket/prefix"),
        ("emr", {"spark_code": "/code"}, "SCX_SPARK_CODE is '/code'"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_an_example_before_anything_starts(
    spark: str, change: dict[str, str], told: str
) -> None:
    settings = Settings.model_validate({**ON_AWS, **change, "spark": spark})
    with pytest.raises(SettingsError, match=told) as caught:
        lake_resource(settings).check(settings.bucket)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spark", ["", "local", "emr-serverless", "emr"])
def test_what_is_complete_is_taken(spark: str) -> None:
    settings = Settings.model_validate({**ON_AWS, "spark": spark, "spark_conf": "spark.a=1,spark.b=x=y"})
    resource: LakeResource = lake_resource(settings)
    resource.check(settings.bucket)
    assert resource.conf == {"spark.a": "1", "spark.b": "x=y"}


@pytest.mark.parametrize("url", ["", "file:///code", "s3://", "code"])
def test_code_lies_in_s3_only(url: str) -> None:
    with pytest.raises(SettingsError, match="SCX_SPARK_CODE is .*: write s3://bucket/prefix"):
        open_code(url)


def test_texts_of_aws_are_made_fit() -> None:
    assert tag_text("2018-11…2018-12 ünï" + "x" * 300)[:20] == "2018-11_2018-12 _n_x"
    assert len(tag_text("x" * 300)) == 256
    assert in_one_line("a\n  b. ") == "a b"
    assert open_code("s3://c/code/").key("x") == "code/x"
    assert open_code("s3://c").key("x") == "x"
