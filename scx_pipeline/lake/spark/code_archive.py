"""A job's code in S3: put there by `scx lake package`, and found there by the builds that start jobs with it.
What is in the archive is in `package`; how a job is started with it, in `orchestration`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scx_pipeline.errors import LakeError, SettingsError
from scx_pipeline.lake.spark.package import JOB, MACHINES, PYTHONS, Target, digest, make_archive
from scx_pipeline.storage.s3 import open_s3, reason_of
from scx_pipeline.storage.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SETTING = "SCX_SPARK_CODE"
MESSAGES = "messages"  # the folder, beside the code, that jobs tell into


@dataclass(frozen=True)
class Code:
    """What a job is started from: the file that Spark is given, the archive, and the workers' Python."""

    entry: str
    archive: str
    python: str


@dataclass(frozen=True)
class Packaged:
    """What `scx lake package` did: the archive's place, and its bytes if it was not there before."""

    archive: str
    entry: str
    size: int | None


@dataclass(frozen=True)
class CodePlace:
    """Where the jobs' code lies, s3://bucket/prefix."""

    url: str

    @property
    def bucket(self) -> str:
        return urlsplit(self.url).netloc

    def key(self, name: str) -> str:
        """The key, in the bucket, of what has this name in the place."""
        return "/".join(part for part in (urlsplit(self.url).path.strip("/"), name) if part)

    def find(self, architectures: Sequence[str] = tuple(MACHINES)) -> Code:
        """The code of this version for one of these processors, and whichever Python. Raises LakeError where there is none."""
        standing = self._names()
        for architecture in architectures:
            for python in PYTHONS:
                target = Target(python, architecture)
                names = names_of(target)
                if names[0] in standing:
                    archive, entry = (f"s3://{self.bucket}/{self.key(name)}" for name in names)
                    return Code(entry, archive, f"/usr/bin/python{python}")
        wanted = " or ".join(architectures)
        option = f" --architecture {architectures[0]}" if len(architectures) == 1 else ""
        raise LakeError(
            f"{SETTING}={self.url} has no archive of this version for {wanted}: run `scx lake package{option}`; nothing was changed"
        )

    def put(self, target: Target) -> Packaged:
        """Make the archive and put it and the job's file here, unless they are. Raises LakeError."""
        archive, entry = names_of(target)
        size = None
        if archive not in self._names():
            self._write(entry, JOB)  # first, since who finds the archive takes both to be there
            with temporary_folder() as folder:
                file = Path(folder) / archive
                make_archive(target, file)
                size = file.stat().st_size
                self._write(archive, file)
        return Packaged(f"{self.url}/{archive}", f"{self.url}/{entry}", size)

    def _names(self) -> set[str]:
        """What lies here. By a list: who may list only this place is not told of an object that it is absent."""
        with self._told("list", ""):
            listed = self._store().list_with_delimiter()
        return {item["path"].rpartition("/")[2] for item in listed["objects"]}

    def _write(self, name: str, file: Path) -> None:
        import obstore

        with self._told("write", name):
            obstore.put(self._store(), name, file)

    def _store(self) -> ObjectStore:
        return open_s3(self.bucket, self.key(""))

    @contextmanager
    def _told(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise LakeError(f"cannot {what} {self.url}/{name} ({SETTING}): {_why(error)}") from None


def _why(error: Exception) -> str:
    """The reason in short; of a list that is refused, obstore knows only the text."""
    text = str(error)
    if any(sign in text for sign in ("403 Forbidden", "401 Unauthorized", "AccessDenied")):
        return "access is denied: let this user or role do so (docs/emr.md)"
    if "NoSuchBucket" in text:
        return "there is no such bucket"
    return reason_of(error)


def names_of(target: Target) -> tuple[str, str]:
    """The names of the archive of this version, and of the job's file that goes with it."""
    version = digest(target)
    return f"environment-{version}.tar.gz", f"lake_job-{version}.py"


def open_code(url: str) -> CodePlace:
    """The place of a URL. Raises SettingsError where it is none of S3's, as nothing else is read by EMR."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        told = f"is {url!r}" if url else "is not set"
        raise SettingsError(
            f"{SETTING} {told}: write s3://bucket/prefix, such as s3://scx-logs/_scx_pipeline/code"
        )
    return CodePlace(url.rstrip("/"))
