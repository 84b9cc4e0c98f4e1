"""Spark jobs through Dagster Pipes: starting them on this machine, and reading their results.

What a job does is not defined here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_pipes import PipesParams

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.build_request import BuildRequest, BuildResult

MIN_JAVA = 17  # required by Spark 4
JOB = Path(__file__).parents[2] / "lake" / "spark" / "submitted" / "lake_job.py"
_JAVA_ADVICE = "install Java 17 or newer (Debian: apt install openjdk-17-jre-headless) and have java on the PATH, or set JAVA_HOME"
# Settings for a fast start and little output on one machine.
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={JOB.parent / 'log4j2.properties'}",
}


class MessageRecorder(dg.PipesMessageReader):
    """A message reader that keeps messages, so that they can be read even if the job failed."""

    def __init__(self, reader: dg.PipesMessageReader) -> None:
        self.reader = reader
        self.handler: dg.PipesMessageHandler | None = None

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[PipesParams]:
        self.handler = handler
        with self.reader.read_messages(handler) as params:
            yield params

    @property
    def expected_writer_count(self) -> int:
        return 1

    def on_launched(self, launched_payload: Any) -> None:
        self.reader.on_launched(launched_payload)

    def no_messages_debug_text(self) -> str:
        return self.reader.no_messages_debug_text()

    def result(self) -> BuildResult | None:
        """Return the job's result, or None if it did not report one."""
        messages = self.handler.get_custom_messages() if self.handler else ()
        return BuildResult.parse(messages[-1]) if messages else None


def run_locally(
    context: dg.AssetExecutionContext, request: BuildRequest, master: str, conf: Mapping[str, str]
) -> BuildResult:
    """Run a job by spark-submit on this machine. Raises LakeError if it cannot start or ends without a result."""
    submit = find_spark_submit()
    check_java()
    local = _LOCAL if master.startswith("local") else {}
    python = {"spark.pyspark.driver.python": sys.executable, "spark.pyspark.python": sys.executable}
    settings = [f"--conf={name}={value}" for name, value in {**python, **local, **conf}.items()]
    messages = MessageRecorder(dg.PipesTempFileMessageReader())
    pipes = dg.PipesSubprocessClient(message_reader=messages)
    try:
        pipes.run(
            context=context,
            command=[submit, "--master", master, *settings, str(JOB)],
            env={"PYTHONWARNINGS": "ignore"},  # PySpark warns about newer versions of libraries
            extras=request.as_json(),
        )
    except dg.DagsterExecutionInterruptedError:
        raise
    except Exception as error:
        result = messages.result()
        if result is None:
            raise LakeError(
                f"the Spark job ended without a result: {_explain_exit(error)}; nothing was changed"
            ) from error
        return result
    result = messages.result()
    if result is None:
        raise LakeError(
            "the Spark job ended without a result: see the run's compute logs; nothing was changed"
        )
    return result


def _explain_exit(error: Exception) -> str:
    """Explain the exit code of spark-submit."""
    found = re.search(r"code (-?\d+)", str(error))
    code = int(found[1]) if found else 0
    if code in (-9, 137):
        return (
            "it was killed, probably for lack of memory: set SCX_SPARK_CONF=spark.driver.memory=4g, or more"
        )
    return f"{str(error).splitlines()[0]}: see stderr of the run's compute logs"


def find_spark_submit() -> str:
    """Return the path of spark-submit: in SPARK_HOME, in the package pyspark, or on the PATH. Raises LakeError if there is none."""
    from importlib.util import find_spec

    home = os.environ.get("SPARK_HOME")
    spec = find_spec("pyspark")
    folders = [Path(home) / "bin"] if home else []
    if spec and spec.origin:
        folders.append(Path(spec.origin).parent / "bin")
    for folder in folders:
        if (folder / "spark-submit").is_file():
            return str(folder / "spark-submit")
    found = shutil.which("spark-submit")
    if found is None:
        raise LakeError(
            "SCX_SPARK=local needs Spark, which is not installed: pip install 'scx_pipeline[spark]', or set SPARK_HOME; without "
            "SCX_SPARK, DuckDB builds the same lake"
        )
    return found


def check_java() -> None:
    """Raise LakeError if there is no Java that Spark runs on."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    try:
        version = subprocess.run(
            [java or "java", "-version"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        where = f"JAVA_HOME={home}" if home else "the PATH"
        raise LakeError(f"Spark needs Java, and none was found by {where}: {_JAVA_ADVICE}") from None
    found = re.search(r'version "(?:1\.)?(\d+)', version.stderr + version.stdout)
    if found and int(found[1]) < MIN_JAVA:
        raise LakeError(
            f"Spark needs Java {MIN_JAVA} or newer, but {java} is Java {found[1]}: {_JAVA_ADVICE}"
        )
