"""The archive that a job on EMR runs from: this project and the packages that its workers import, for their Python and processor.
Where it is put, and found by a build, is in `code`; how a job is started with it, in `orchestration`."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scx_pipeline.errors import LakeError
from scx_pipeline.storage.temporary_folder import temporary_folder

PACKAGE = Path(__file__).parents[2]
JOB = Path(__file__).parent / "submitted" / "lake_job.py"
# What a job imports of others, beside PySpark, which Spark brings with it; what these need is added. pandas is PySpark's: its
# mapInArrow asks for it, though nothing here is given to it.
ROOTS = (
    "boto3", "certifi", "dagster-pipes", "duckdb", "numpy", "obstore", "pandas", "pyarrow", "pydantic", "pydantic-settings",
    "PyYAML", "sqlglot",
)  # fmt: skip
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # as AWS calls a processor, and as wheels do
GLIBC = range(17, 35)  # 2.17 is that of manylinux2014, 2.34 that of Amazon Linux 2023, which EMR 7 is on
UNUSED = ("bin", "pandas/tests", "pyarrow/include", "pyarrow/tests")  # a sixth of it all
_PIP = (sys.executable, "-m", "pip")
_COMPRESSION = 3  # half the time of gzip's own choice, for a fifteenth more bytes


@dataclass(frozen=True)
class Target:
    """The workers that an archive is for."""

    python: str = PYTHONS[0]
    architecture: str = "x86_64"

    @property
    def platforms(self) -> list[str]:
        """The platforms of wheels that run there, the newest first."""
        machine = MACHINES[self.architecture]
        return [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)] + [f"manylinux2014_{machine}"]

    def markers(self) -> dict[str, str]:
        """What requirements ask about where they are for."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_machine": MACHINES[self.architecture],
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }

    def __str__(self) -> str:
        return f"Python {self.python} on {self.architecture}"


def pinned(target: Target) -> list[str]:
    """The packages that are needed there, at the versions that are installed here. Raises LakeError where one is not."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement

    markers, found, wanted = target.markers(), dict[str, str](), list(ROOTS)
    while wanted:
        try:
            package = distribution(wanted.pop())
        except PackageNotFoundError as error:
            raise LakeError(
                f"the workers need the package {error.name}, which is not installed here: pip install {error.name}"
            ) from None
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        if name in found:
            continue
        found[name] = package.version
        needs = [Requirement(text) for text in package.requires or ()]
        wanted += [item.name for item in needs if item.marker is None or item.marker.evaluate(markers)]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def own_files() -> list[Path]:
    """The files of this project that go into the archive, stars included."""
    return sorted(
        path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )  # fmt: skip


def digest(target: Target) -> str:
    """What tells one archive from another: a hash of all that decides what is in it, so that it is known without making it."""
    recipe = {
        "python": target.python,
        "platforms": target.platforms,
        "packages": pinned(target),
        "unused": UNUSED,
        "files": {
            path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in own_files()
        },
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def make_archive(target: Target, file: Path) -> None:
    """Make the archive, out of wheels that pip fetches. Raises LakeError, and there is no file then."""
    with temporary_folder() as temporary:
        folder = temporary / "packages"
        folder.mkdir()
        _fetch(pinned(target), target, folder)
        half = file.with_name(f"{file.name}.part")
        try:
            _pack(_contents(folder), half)
            half.replace(file)
        except OSError as error:
            raise LakeError(f"cannot write {file}: {error.strerror}") from None
        finally:
            half.unlink(missing_ok=True)


def _fetch(packages: Sequence[str], target: Target, folder: Path) -> None:
    command = [
        *(*_PIP, "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--no-compile", "--target", str(folder)),
        *("--implementation", "cp", "--python-version", target.python),
        *(f"--platform={platform}" for platform in target.platforms),
        *packages,
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise LakeError(f"cannot fetch the packages for {target}: {reason_of_pip(told.stderr)}")


def reason_of_pip(text: str) -> str:
    """What of all that pip says tells why it failed, and what to do."""
    if "No module named pip" in text:
        return "there is no pip in this Python: python -m ensurepip"
    errors = [line.removeprefix("ERROR:").strip() for line in text.splitlines() if line.startswith("ERROR:")]
    # Of an index that it cannot reach, it says as of one that does not have the package.
    if re.search(r"connection broken|ConnectionError|ConnectTimeout|Max retries", text):
        return "the package index cannot be reached: see the network, and pip's settings of index and proxy"
    missing = next((line for line in errors if line.startswith("No matching distribution")), None)
    if missing:
        return f"{missing}: install another version of it here, or take another --python"
    return (errors or text.strip().splitlines() or ["no reason"])[-1][:300]


def _contents(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files, by their names in the archive, in an order that is always the same."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = {
        name: path for name, path in found.items() if not name.startswith(tuple(f"{it}/" for it in UNUSED))
    }
    own = {f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}": path for path in own_files()}
    yield from sorted({**kept, **own}.items())


def _pack(contents: Iterator[tuple[str, Path]], file: Path) -> None:
    """The same files give the same bytes."""
    with (
        file.open("wb") as raw,
        gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, path in contents:
            info = tarfile.TarInfo(name)
            info.size, info.mode = path.stat().st_size, 0o755 if path.suffix == ".so" else 0o644
            with path.open("rb") as content:
                archive.addfile(info, content)
