"""`scx lake verify`: a correct lake has no findings, and a damaged file is reported with month and advice.

Damaged rows and columns, and the writing of a lake, are not tested here.
"""

from __future__ import annotations

import json
from dataclasses import replace

import obstore
import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.transaction import begin_transaction
from scx_pipeline.lake.inspect.findings import Finding
from scx_pipeline.lake.inspect.verify import Verifier
from scx_pipeline_tests.lake.inspect.damaged_lake import (
    LIMITS,
    file_of,
    findings_of,
    rewrite,
    single_finding,
    verify,
    write,
)
from scx_pipeline_tests.support.lake.lake_env import Lake
from scx_pipeline_tests.support.load_env import FACTS
from scx_pipeline_tests.support.scx_command import Scx

# Lakes without findings


def test_a_correct_lake_has_no_findings(any_lake: Lake) -> None:
    before = any_lake.store.list()
    done = verify(any_lake)
    assert done.findings == []
    assert done.files == len(any_lake.manifest.file_keys)
    assert done.rows == sum(len(any_lake.rows(name)) for name in any_lake.tables)
    assert any_lake.store.list() == before
    assert any("footers: 0 of" in message for message in any_lake.messages)


def test_a_lake_in_s3_is_verified(lake: Lake, s3_bucket: str) -> None:
    other = replace(lake, url=f"{s3_bucket}/lakes/one")
    other.unload()
    assert findings_of(other) == []
    missing, duplicated = file_of(other, "time"), file_of(other, FACTS)
    other.store.remove([missing.key])
    rewrite(other, duplicated, lambda table: table.take([0, 0]))
    assert {(item.table, item.file) for item in findings_of(other)} == {
        ("time", missing.key),
        (FACTS, duplicated.key),
    }


# Files


def test_a_missing_file_is_reported_with_month_and_advice(lake: Lake) -> None:
    item = file_of(lake, "time")
    lake.store.remove([item.key])
    assert single_finding(lake) == Finding(
        "time",
        "2021-04",
        item.key,
        "the file is missing",
        "rebuild it: scx lake build, or unload, --month 2021-04",
    )


def test_a_file_of_another_size_is_reported(lake: Lake) -> None:
    item = file_of(lake, "users", None)
    lake.store.write(item.key, b"PAR1")
    finding = single_finding(lake)
    assert (finding.table, finding.month, finding.file) == ("users", "", item.key)
    assert finding.problem == f"the file has 4 bytes, not {item.bytes:,} as in the manifest"
    assert finding.advice == "rebuild it: scx lake build, or unload"


def test_a_file_that_is_not_parquet_is_reported(lake: Lake) -> None:
    item = file_of(lake, "_latest/users")
    lake.store.write(item.key, b"x" * item.bytes)
    finding = single_finding(lake)
    assert (finding.table, finding.file) == ("_latest/users", item.key)
    assert finding.problem.startswith("the file cannot be read: ")


def test_a_file_with_damaged_values_is_reported(lake: Lake) -> None:
    item = file_of(lake, FACTS)
    content = bytearray(obstore.get(lake.store.store, item.key).bytes())
    content[4:80] = b"\xff" * 76  # the first column's values, but not the footer
    lake.store.write(item.key, bytes(content))
    finding = single_finding(lake)
    assert (finding.table, finding.month, finding.file) == (FACTS, "2021-04", item.key)
    assert finding.problem.startswith("the file cannot be read: ")
    assert "scx-" not in finding.problem


def test_orphan_files_are_reported_with_who_removes_them(lake: Lake) -> None:
    item = file_of(lake, "time")
    content = bytes(obstore.get(lake.store.store, item.key).bytes())
    keys = ["time/year=2021/month=4/copy.parquet", "users/20200101T000000000000-12345678-a.parquet"]
    for key in (*keys, "time/_SUCCESS", "elsewhere/a.parquet"):
        lake.store.write(key, content)
    findings = findings_of(lake)
    assert [(f.table, f.month, f.file, f.advice) for f in findings] == [
        ("time", "2021-04", keys[0], "move it elsewhere"),
        ("users", "", keys[1], "the next run removes it"),
    ]


def test_files_of_the_run_with_the_write_lock_are_not_orphans(lake: Lake) -> None:
    transaction = begin_transaction(lake.store, "scx", lake.messages.append)
    lake.store.write(f"time/year=2021/month=4/{transaction.run}-data_0.parquet", b"x")
    assert findings_of(lake) == []


def test_a_file_in_the_folder_of_another_month_or_of_none_is_reported(lake: Lake) -> None:
    item, other = file_of(lake, "time"), file_of(lake, FACTS)
    moved = {
        item.key: item.key.replace("month=4/", "month=5/a-"),
        other.key: other.key.replace("month=4/", ""),
    }
    manifest = lake.manifest
    for source, target in moved.items():
        lake.store.move(source, target)
    files = {
        folder: tuple(replace(one, key=moved.get(one.key, one.key)) for one in listed)
        for folder, listed in manifest.files.items()
    }
    write(lake.store, replace(manifest, files=files))
    assert {f.file: f.problem for f in findings_of(lake)} == {
        moved[item.key]: "the file belongs to 2021-04 but is in the folder of another month",
        moved[other.key]: f"the file should be in folders of year, month below {FACTS}/",
    }


# The command


def test_a_lake_that_is_written_during_the_verification_is_not_judged(lake: Lake) -> None:
    lake.store.remove([file_of(lake, "time").key])

    def committed(message: str) -> None:
        if message.startswith("footers: 0"):
            lake.unload()

    with pytest.raises(LakeError, match="was written while it was verified: run the verification again"):
        Verifier(lake.load_env.compiled, LIMITS, committed).run(lake.url)


def test_the_command_shows_findings_as_a_table_and_exits_with_1(lake: Lake, scx: Scx) -> None:
    result = scx("lake", "verify", "scx", "--lake", lake.url)
    assert (result.code, result.out) == (
        0,
        f"{lake.store.url}, manifest 2: {len(lake.manifest.file_keys)} files, 20 rows: everything matches the manifest\n",
    )
    item = file_of(lake, "time")
    lake.store.remove([item.key])
    result = scx("lake", "verify", "scx", "--lake", lake.url)
    assert result.code == 1
    assert "1 findings" in result.out
    assert "the file is missing" in result.out
    result = scx("lake", "verify", "scx", "--lake", lake.url, "--json")
    assert result.code == 1
    [finding] = json.loads(result.out)["findings"]
    assert (finding["file"], finding["month"]) == (item.key, "2021-04")
    result = scx("lake", "verify", "scx", "--lake", (lake.folder / "none").as_uri())
    assert result.code == 1
    assert "has no data of scx yet" in result.err
