"""Spark jobs through Dagster Pipes: where they run, how they are started, and what they answer.
What a job does is in `lake.job`; which assets ask for one, in `lake_assets`."""

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

JAVA = 17  # Spark 4 runs on nothing older
JOB = Path(__file__).parents[2] / "lake" / "spark" / "submitted" / "lake_job.py"
_JAVA_ADVICE = "install Java 17 or newer (Debian: apt install openjdk-17-jre-headless) and have java on the PATH, or set JAVA_HOME"
# What makes a job on one machine quick to start and quiet.
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={JOB.parent / 'log4j2.properties'}",
}


class KeptMessages(dg.PipesMessageReader):
    """A message reader whose messages can be asked for when the job has failed, too."""

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

    def answer(self) -> BuildResult | None:
        """What the job has answered; None where it did not come to that."""
        messages = self.handler.get_custom_messages() if self.handler else ()
        return BuildResult.parse(messages[-1]) if messages else None


def run_here(
    context: dg.AssetExecutionContext, request: BuildRequest, master: str, conf: Mapping[str, str]
) -> BuildResult:
    """Run a job by spark-submit on this machine. Raises LakeError where it cannot start, or ends without an answer."""
    submit = find_submit()
    check_java()
    local = _LOCAL if master.startswith("local") else {}
    python = {"spark.pyspark.driver.python": sys.executable, "spark.pyspark.python": sys.executable}
    settings = [f"--conf={name}={value}" for name, value in {**python, **local, **conf}.items()]
    messages = KeptMessages(dg.PipesTempFileMessageReader())
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
        answer = messages.answer()
        if answer is None:
            raise LakeError(
                f"the Spark job ended without an answer: {_ending(error)}; nothing was changed"
            ) from error
        return answer
    answer = messages.answer()
    if answer is None:
        raise LakeError(
            "the Spark job ended without an answer: see the run's compute logs; nothing was changed"
        )
    return answer


def _ending(error: Exception) -> str:
    """What an exit code tells."""
    found = re.search(r"code (-?\d+)", str(error))
    code = int(found[1]) if found else 0
    if code in (-9, 137):
        return "it was killed, as the system does when memory runs out: set SCX_SPARK_CONF=spark.driver.memory=4g, or more"
    return f"{str(error).splitlines()[0]}: see stderr of the run's compute logs"


def find_submit() -> str:
    """The program spark-submit: of SPARK_HOME, of the package pyspark, or on the PATH. Raises LakeError where it is absent."""
    from importlib.util import find_spec

    home = os.environ.get("SPARK_HOME")
    spec = find_spec("pyspark")
    places = [Path(home) / "bin"] if home else []
    if spec and spec.origin:
        places.append(Path(spec.origin).parent / "bin")
    for place in places:
        if (place / "spark-submit").is_file():
            return str(place / "spark-submit")
    found = shutil.which("spark-submit")
    if found is None:
        raise LakeError(
            "SCX_SPARK=local needs Spark, which is not here: pip install 'scx_pipeline[spark]', or set SPARK_HOME; without "
            "SCX_SPARK, DuckDB builds the same lake"
        )
    return found


def check_java() -> None:
    """Raise LakeError unless there is a Java that Spark runs on."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    try:
        told = subprocess.run(
            [java or "java", "-version"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        where = f"JAVA_HOME={home}" if home else "the PATH"
        raise LakeError(f"Spark needs Java, and none is found by {where}: {_JAVA_ADVICE}") from None
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if found and int(found[1]) < JAVA:
        raise LakeError(f"Spark needs Java {JAVA} or newer, and {java} is Java {found[1]}: {_JAVA_ADVICE}")
