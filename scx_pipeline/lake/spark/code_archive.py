"""A job's code in S3: put there by `scx lake package`, and found there by the builds that start jobs with it.

Building the archive and starting jobs do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scx_pipeline.errors import LakeError, SettingsError
from scx_pipeline.lake.spark.package import JOB, MACHINES, PYTHONS, WorkerPlatform, build_archive, digest
from scx_pipeline.settings import redact
from scx_pipeline.storage.object_store import ObjectStore
from scx_pipeline.storage.s3 import open_s3
from scx_pipeline.storage.temporary_folder import temporary_folder

SETTING = "SCX_SPARK_CODE"
MESSAGES = "messages"  # the folder next to the code that jobs write their messages to


@dataclass(frozen=True)
class Code:
    """What a job is started from: the file that Spark is given, the archive, and the workers' Python."""

    entry: str
    archive: str
    python: str


@dataclass(frozen=True)
class Packaged:
    """What `scx lake package` did: the archive's URL, and its bytes if it was not there before."""

    archive: str
    entry: str
    size: int | None


@dataclass(frozen=True)
class CodeFolder:
    """The S3 folder of the jobs' code, `s3://bucket/prefix`."""

    url: str

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).netloc

    def key(self, name: str) -> str:
        """Return the key, in the bucket, of the object of this name in the folder."""
        return "/".join(part for part in (urlsplit(self.url).path.strip("/"), name) if part)

    def find(self, architectures: Sequence[str] = tuple(MACHINES)) -> Code:
        """Return the code of this version for one of these processors, and any Python. Raises LakeError if there is none."""
        uploaded = self._names()
        for architecture in architectures:
            for python in PYTHONS:
                target = WorkerPlatform(python, architecture)
                names = names_of(target)
                if names[0] in uploaded:
                    archive, entry = (f"s3://{self.bucket}/{self.key(name)}" for name in names)
                    return Code(entry, archive, f"/usr/bin/python{python}")
        wanted = " or ".join(architectures)
        option = f" --architecture {architectures[0]}" if len(architectures) == 1 else ""
        raise LakeError(
            f"{SETTING}={self.url} has no archive of this version for {wanted}: run `scx lake package{option}`; nothing was changed"
        )

    def put(self, target: WorkerPlatform) -> Packaged:
        """Make the archive and put it and the job's file here, unless they are. Raises LakeError."""
        archive, entry = names_of(target)
        size = None
        if archive not in self._names():
            self._objects.write(entry, JOB)  # first, since who finds the archive takes both to be there
            with temporary_folder() as folder:
                file = Path(folder) / archive
                build_archive(target, file)
                size = file.stat().st_size
                self._objects.write(archive, file)
        return Packaged(f"{self.url}/{archive}", f"{self.url}/{entry}", size)

    def _names(self) -> set[str]:
        """Return the names of the objects in the folder.

        They are listed, as a user who may only list the folder gets no answer to whether an object exists.
        """
        return {key.partition("/")[0] for key in self._objects.list() if "/" not in key}

    @property
    def _objects(self) -> ObjectStore:
        return ObjectStore(
            self.url, open_s3(self.bucket, self.key("")), error_type=LakeError, setting=SETTING
        )


def names_of(target: WorkerPlatform) -> tuple[str, str]:
    """Return the names of the archive of this version, and of the job's file that goes with it."""
    version = digest(target)
    return f"environment-{version}.tar.gz", f"lake_job-{version}.py"


def open_code(url: str) -> CodeFolder:
    """Return the code folder of a URL. Raises SettingsError if it is not in S3, as EMR reads nothing else."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        state = f"is {redact(url)!r}" if url else "is not set"
        raise SettingsError(
            f"{SETTING} {state}: write s3://bucket/prefix, such as s3://scx-logs/_scx_pipeline/code"
        )
    return CodeFolder(url.rstrip("/"))
