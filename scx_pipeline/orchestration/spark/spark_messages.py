"""What a Spark job on AWS tells, by Dagster Pipes: read out of S3 while it runs, and its answer waited for.
How jobs are started is in `emr_serverless` and `emr`; messages that are kept, in `spark`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dagster_aws.pipes import PipesS3MessageReader
from dagster_pipes import PipesParams

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.build.build_request import BuildResult
from scx_pipeline.lake.spark.code_archive import MESSAGES, SETTING, CodePlace
from scx_pipeline.orchestration.spark.pipes import KeptMessages

INTERVAL = 3.0  # seconds between two looks for messages; a job writes some every ten


class S3Messages(PipesS3MessageReader):
    """Messages of one job below a place, and no random one: a request that is repeated must be the same word for word."""

    def __init__(self, place: CodePlace, job: str, client: Any) -> None:
        super().__init__(bucket=place.bucket, client=client, interval=INTERVAL)
        self.prefix = place.key(f"{MESSAGES}/{job}")

    @contextmanager
    def get_params(self) -> Iterator[PipesParams]:
        with super().get_params() as params:
            yield {**params, "key_prefix": self.prefix}


def await_answer(run: Callable[[], object], messages: KeptMessages) -> BuildResult:
    """What the job answers that `run` starts and waits for, be it that it failed.

    Raises the LakeError of `run` where there is no answer, and one where the job ended well and its answer did not come.
    """
    try:
        run()
    except LakeError:
        answer = messages.answer()
        if answer is None:
            raise
        return answer
    answer = messages.answer()
    if answer is None:
        raise LakeError(
            f"the Spark job ended well, but its answer was not found below {SETTING}: let this user or role list and read it, and "
            "the job's role write its messages (docs/emr.md); `scx lake status` tells what stands"
        )
    return answer
