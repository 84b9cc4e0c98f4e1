"""Translates errors of Spark into one-line errors of the lake.

Errors of the tasks themselves do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scx_pipeline.errors import LakeError

# Text in a Spark error → what to do.
_ADVICE = (
    ("ExecutorLostFailure", "an executor was lost: give executors more memory, spark.executor.memory and spark.executor.memoryOverhead"),
    ("OutOfMemoryError", "give the driver and the executors more memory, spark.driver.memory and spark.executor.memory"),
    ("No space left on device", "free disk space in spark.local.dir and TMPDIR"),
    ("No module named", "the workers need the same packages as the driver: see docs/lake.md"),
    ("Python in worker has different version", "set PYSPARK_PYTHON to the driver's Python"),
)  # fmt: skip


@contextmanager
def translate_spark_errors() -> Iterator[None]:
    """Raise errors of Spark as a LakeError of one line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise LakeError(f"Spark: {find_reason(str(error))}; nothing was changed") from error


def find_reason(text: str) -> str:
    """Return the line of a Spark error that says what happened, with advice if there is any."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    known = (line for line in lines if any(sign in line for sign, _ in _ADVICE))
    found = next(known, lines[0] if lines else "no reason")
    advice = next((f" ({advice})" for sign, advice in _ADVICE if sign in found), "")
    return found[:400] + advice
