"""The archive that a job on EMR runs from: this project and the packages its workers import, for their Python and processor.

Uploading the archive does not belong here.
"""

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
# The packages that a job imports; their requirements are added. PySpark comes with Spark. PySpark's mapInArrow requires pandas.
ROOTS = (
    "boto3", "certifi", "dagster-pipes", "duckdb", "numpy", "obstore", "pandas", "pyarrow", "pydantic", "pydantic-settings",
    "PyYAML", "sqlglot",
)  # fmt: skip
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # architecture in AWS → in wheels
GLIBC = range(17, 35)  # 2.17 is manylinux2014, 2.34 is Amazon Linux 2023, the base of EMR 7
UNUSED = ("bin", "pandas/tests", "pyarrow/include", "pyarrow/tests")  # a sixth of the bytes
_PIP = (sys.executable, "-m", "pip")
_COMPRESSION = 3  # much faster than gzip's default level, for 7% more bytes


@dataclass(frozen=True)
class WorkerPlatform:
    """The Python version and processor of the workers that an archive is for."""

    python: str = PYTHONS[0]
    architecture: str = "x86_64"

    @property
    def platforms(self) -> list[str]:
        """The platform tags of wheels that run there, newest first."""
        machine = MACHINES[self.architecture]
        return [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)] + [f"manylinux2014_{machine}"]

    def markers(self) -> dict[str, str]:
        """Return the environment that the markers of requirements are evaluated in."""
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


def pin_packages(target: WorkerPlatform) -> list[str]:
    """Return the required packages at the versions installed here. Raises LakeError if one is not installed."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement

    markers, found, pending = target.markers(), dict[str, str](), list(ROOTS)
    while pending:
        try:
            package = distribution(pending.pop())
        except PackageNotFoundError as error:
            raise LakeError(
                f"the workers need the package {error.name}, which is not installed here: pip install {error.name}"
            ) from None
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        if name in found:
            continue
        found[name] = package.version
        requirements = [Requirement(text) for text in package.requires or ()]
        pending += [
            item.name for item in requirements if item.marker is None or item.marker.evaluate(markers)
        ]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def project_files() -> list[Path]:
    """Return the files of this project that go into the archive. A job gets its star with its request."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    return sorted(
        path for path in files if "__pycache__" not in path.parts and PACKAGE / "stars" not in path.parents
    )


def digest(target: WorkerPlatform) -> str:
    """Return a hash of everything that determines an archive's contents, so that it is known before the archive is built."""
    recipe = {
        "python": target.python,
        "platforms": target.platforms,
        "packages": pin_packages(target),
        "unused": UNUSED,
        "files": {
            path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in project_files()
        },
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def build_archive(target: WorkerPlatform, file: Path) -> None:
    """Build the archive from wheels that pip downloads. Raises LakeError; no file is left then."""
    with temporary_folder() as temporary:
        folder = temporary / "packages"
        folder.mkdir()
        _download(pin_packages(target), target, folder)
        partial = file.with_name(f"{file.name}.part")
        try:
            _pack(_contents(folder), partial)
            partial.replace(file)
        except OSError as error:
            raise LakeError(f"cannot write {file}: {error.strerror}") from None
        finally:
            partial.unlink(missing_ok=True)


def _download(packages: Sequence[str], target: WorkerPlatform, folder: Path) -> None:
    command = [
        *(*_PIP, "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--no-compile", "--target", str(folder)),
        *("--implementation", "cp", "--python-version", target.python),
        *(f"--platform={platform}" for platform in target.platforms),
        *packages,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LakeError(f"cannot download the packages for {target}: {find_pip_reason(done.stderr)}")


def find_pip_reason(text: str) -> str:
    """Return the reason in pip's error output, and what to do."""
    if "No module named pip" in text:
        return "this Python has no pip: run python -m ensurepip"
    errors = [line.removeprefix("ERROR:").strip() for line in text.splitlines() if line.startswith("ERROR:")]
    # For an unreachable index, pip also reports that no matching distribution exists.
    if re.search(r"connection broken|ConnectionError|ConnectTimeout|Max retries", text):
        return "the package index cannot be reached: check the network, and pip's index and proxy settings"
    missing = next((line for line in errors if line.startswith("No matching distribution")), None)
    if missing:
        return f"{missing}: install another version of it here, or use another --python"
    return (errors or text.strip().splitlines() or ["no reason given"])[-1][:300]


def _contents(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files by their names in the archive, in a stable order."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    unused = tuple(f"{folder}/" for folder in UNUSED)
    kept = {name: path for name, path in found.items() if not name.startswith(unused)}
    project = {f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}": path for path in project_files()}
    yield from sorted({**kept, **project}.items())


def _pack(contents: Iterator[tuple[str, Path]], file: Path) -> None:
    """Write the archive; the same files give the same bytes."""
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
