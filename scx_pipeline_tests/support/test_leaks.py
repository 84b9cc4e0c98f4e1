"""The search for leaked secrets: in files, compressed in SQLite, and in other encodings.

Loads are not run here.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from scx_pipeline_tests.support.leaks import leaks, texts_below

SECRET = 'pl4nted/@:% p+ss?"w#rd'


@pytest.mark.parametrize(
    "text",
    [
        f"redshift://scx:{SECRET}@host",
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps({"password": SECRET}),
        repr(SECRET),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_a_secret_is_found_in_each_spelling_in_files_and_in_sqlite_values(
    text: str, pack: type[bytes], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "runs.db")) as con, con:
        con.execute("CREATE TABLE snapshots (n INTEGER, body BLOB)")
        con.execute("INSERT INTO snapshots VALUES (1, ?)", [pack(text.encode())])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "run.err").write_text(f"Error: {text}")
    found = leaks(["another", SECRET], texts_below(tmp_path))
    assert {"secret 1 in logs/run.err", "secret 1 in runs.db, snapshots"} <= set(found)


def test_a_text_without_a_secret_is_not_a_leak(tmp_path: Path) -> None:
    (tmp_path / "run.err").write_text("pl4nted")
    assert leaks([SECRET], texts_below(tmp_path)) == []
