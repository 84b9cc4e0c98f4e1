"""The archive of `scx lake package`: what is in it, and that all that a job imports comes from it alone."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

from scx_pipeline.lake.spark.package import PACKAGE
from scx_pipeline_tests.lake.spark.packaged.worker_archive import HERE

# What must be there of all that is imported, in a Python that has nothing.
IMPORTED = """
import sys
import scx_pipeline.lake.spark.job, scx_pipeline.lake.spark.spark_engine, scx_pipeline.lake.spark.worker
import boto3, botocore, certifi, dagster_pipes, duckdb, numpy, obstore, pandas, pyarrow.parquet, pydantic_settings, sqlglot, yaml
from obstore.auth.boto3 import Boto3CredentialProvider
from scx_pipeline.declarations.star_folder import load_star, star_names, stars_folder
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
print([load_star(stars_folder() / name).star.name for name in star_names()])
print({module.__file__.split("/environment/")[0] for name, module in sys.modules.items() if "/environment/" in (getattr(module, "__file__", None) or "")})
"""


def members(archive: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(archive) as opened:
        return opened.getmembers()


def test_the_archive_holds_the_project_its_stars_and_the_imports_of_workers(archive: Path) -> None:
    found = {member.name for member in members(archive)}
    own = {f"scx_pipeline/{path.relative_to(PACKAGE).as_posix()}" for path in PACKAGE.rglob("*.sql")}
    assert own
    assert own | {"scx_pipeline/stars/scx/defs.yaml", "scx_pipeline/lake/spark/job.py"} <= found
    for name in ("duckdb", "pyarrow", "obstore", "sqlglot", "pydantic", "dagster_pipes", "numpy", "botocore"):
        assert f"{name}/__init__.py" in found, name
    assert {
        f"_duckdb.cpython-{HERE.python.replace('.', '')}-{m}-linux-gnu.so" for m in ("x86_64", "aarch64")
    } & found
    assert not [name for name in found if "__pycache__" in name or name.startswith(("pandas/tests", "dagster/", "pyspark"))]  # fmt: skip


def test_the_archive_does_not_show_where_and_when_it_was_made(archive: Path) -> None:
    facts = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members(archive)}
    assert facts == {(0, 0, 0, "", "", 0o644), (0, 0, 0, "", "", 0o755)}
    names = [member.name for member in members(archive)]
    assert names == sorted(names)


def test_a_job_imports_everything_from_the_archive(unpacked: Path, bare_python: Path) -> None:
    finished = subprocess.run(
        [bare_python, "-c", IMPORTED],
        capture_output=True, text=True, check=False, cwd=unpacked.parent,
        env={"PATH": os.defpath, "PYTHONPATH": f"./{unpacked.name}"},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    stars, places = finished.stdout.splitlines()
    assert stars == "['scx', 'sensor_readings', 'songplays']"
    assert places == str({str(unpacked.parent)})
