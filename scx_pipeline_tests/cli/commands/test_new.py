"""`scx new`: the star that it writes from a user's files, and its one-line refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scx_pipeline_tests.support.scx_command import Scx

EXPORT = """\
Orders of the web shop
Order No;Customer No;City;Amount;Ordered at
1;C-1;Paris;1.010,00;05.01.2024 10:00
2;C-2;Lyon;7,50;16.01.2024 11:00
3;C-1;Paris;12,00;17.02.2024 12:00
4;C-2;Lyon;3,20;18.02.2024 09:30
"""


@pytest.fixture
def exports(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two exports, which is not the bucket; stars are written next to it."""
    assert not home.exists()
    folder = tmp_path / "exports"
    folder.mkdir()
    header, *rows = EXPORT.splitlines()[1:]
    for month, part in (("2024-01", rows[:2]), ("2024-02", rows[2:])):
        text = "\n".join(["Orders of the web shop", header, *part, ""])
        (folder / f"orders-{month}.csv").write_text(text, "windows-1252")
    monkeypatch.chdir(tmp_path)
    return folder


def declared(folder: Path) -> Any:
    return yaml.safe_load((folder / "defs.yaml").read_text("utf-8"))["attributes"]


def test_a_star_of_a_users_files_is_written_loaded_and_explained(
    scx: Scx, exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = scx(
        "new", "shop", "--from", str(exports / "orders-2024-01.csv"), str(exports / "orders-2024-02.csv")
    )
    assert result.code == 0, result.err
    for shown in (
        "order_no",
        "it is unique in 4 rows",
        "customers",
        "4 rows read: 0 rejected",
        "export SCX_STARS=",
    ):
        assert shown in result.out
    [source] = declared(tmp_path / "stars" / "shop")["sources"]
    assert source["url"] == exports.as_uri()
    assert source["files"] == [{"pattern": "orders-{year}-{month}.csv"}]
    monkeypatch.setenv("SCX_STARS", "stars")
    assert "3 cases passed, 0 failed" in scx("test", "shop").out
    assert scx("check", "shop").code == 0
    assert scx("plan", "shop").out.count("not loaded yet") == 0


def test_files_in_the_bucket_are_read_from_it(scx: Scx, exports: Path, tmp_path: Path, home: Path) -> None:
    (home / "bucket").mkdir(parents=True)
    exports.rename(home / "bucket" / "orders")
    assert scx("new", "shop", "--from", str(home / "bucket" / "orders"), "--no-load").code == 0
    [source] = declared(tmp_path / "stars" / "shop")["sources"]
    assert "url" not in source
    assert source["prefix"] == "orders/"


def test_a_chosen_key_and_event_time_take_the_place_of_guesses(
    scx: Scx, exports: Path, tmp_path: Path
) -> None:
    chosen = ("--event-time", "", "--key", "customer_no,ordered_at")
    assert scx("new", "shop", "--from", str(exports), *chosen, "--no-load").code == 0
    staging = declared(tmp_path / "stars" / "shop")["tables"][0]
    assert staging["key"] == ["customer_no", "ordered_at"]
    assert "event_time" not in staging


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shop"], "name sample files: scx new STAR --from FILES…"),
        (["shop", "--from", "nothing/*.csv"], "no files match nothing/*.csv"),
        (["Shop", "--from", "exports"], "'Shop' is not a valid name on every engine"),
        (["old", "--from", "exports"], "stars/old exists: choose another name"),
        (["shop", "--from", "exports", "--key", "city"], "city is not unique: 2 of 4 rows repeat it"),
        (["shop", "--from", "exports", "--event-time", "amount"], "amount cannot be the event time"),
        (["shop", "--from", "exports", "mixed"], "name files of one format"),
        (["shop", "--from", "mixed/empty.csv"], "empty.csv: the file is empty"),
    ],
)
def test_what_cannot_become_a_star_is_refused_in_one_line_and_nothing_is_written(
    scx: Scx, exports: Path, arguments: list[str], message: str
) -> None:
    assert exports.exists()
    for folder in ("stars/old", "mixed"):
        Path(folder).mkdir(parents=True)
    Path("mixed/events.json").write_text('{"id": 1}\n')
    Path("mixed/empty.csv").write_text("")
    result = scx("new", *arguments)
    assert result.code == 1
    assert message in result.err
    assert result.err.count("\n") == 1
    assert [path.name for path in Path("stars").iterdir()] == ["old"]
