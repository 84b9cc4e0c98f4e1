"""The archive of `scx lake package`: what is in it, and that all that a job imports comes from it alone."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.lake.build.build_request import BuildRequest
from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline_tests.lake.spark.packaged.worker_archive import HERE

# What must be there of all that is imported, in a Python that has nothing.
IMPORTED = """
import json, sys
import scx_pipeline.lake.spark.job, scx_pipeline.lake.spark.spark_engine, scx_pipeline.lake.spark.worker
import boto3, botocore, certifi, dagster_pipes, duckdb, numpy, obstore, pandas, pyarrow.parquet, pydantic_settings, sqlglot, yaml
from obstore.auth.boto3 import Boto3CredentialProvider
from scx_pipeline.lake.build.build_request import BuildRequest
from scx_pipeline.lake.build.duckdb_engine import DuckDBLakeEngine
print(BuildRequest.parse(json.loads(sys.argv[1])).compiled.build_order[-1].name)
print({module.__file__.split("/environment/")[0] for name, module in sys.modules.items() if "/environment/" in (getattr(module, "__file__", None) or "")})
"""


def members(archive: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(archive) as opened:
        return opened.getmembers()


def test_the_archive_holds_the_project_without_stars_and_the_imports_of_workers(archive: Path) -> None:
    found = {member.name for member in members(archive)}
    assert {"scx_pipeline/lake/spark/job.py", "scx_pipeline/model/star.py"} <= found
    assert not [name for name in found if name.startswith("scx_pipeline/stars/")]
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


def test_a_job_imports_everything_from_the_archive_and_gets_its_star_from_the_request(
    unpacked: Path, bare_python: Path, scx_star: CompiledStar
) -> None:
    request = BuildRequest(scx_star, UNPARTITIONED, "s3://logs", "s3://lake", "run", Limits())
    finished = subprocess.run(
        [bare_python, "-c", IMPORTED, json.dumps(request.as_json())],
        capture_output=True, text=True, check=False, cwd=unpacked.parent,
        env={"PATH": os.defpath, "PYTHONPATH": f"./{unpacked.name}"},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    table, places = finished.stdout.splitlines()
    assert table == scx_star.build_order[-1].name
    assert places == str({str(unpacked.parent)})
