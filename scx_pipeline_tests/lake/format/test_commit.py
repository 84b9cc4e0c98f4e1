"""A run's turn and its commit in a folder, without any table: what is listed, moved, removed and kept, and who comes too late.
Whole builds are in lake/."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.commit import KEPT_MANIFESTS, LakeTransaction, NewFiles, begin, commit, give_up
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState, read_manifest
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.selection import MonthState

MARCH, APRIL = Month(2021, 3), Month(2021, 4)
SHAPE = (("id", "integer", "file"),)
MADE = PartitionState(MonthState("print", "code"), "run", "2021-05-01T00:00:00", {"t": 3})


@pytest.fixture
def place(tmp_path: Path) -> LakeStore:
    return open_lake_store(f"file://{tmp_path}", "fuzz")


def quiet(message: str) -> None:
    raise AssertionError(message)


def written(turn: LakeTransaction, month: Month, name: str = "data_0.parquet") -> DataFile:
    """A file that the run has written, not yet in its place."""
    key = f"t/year={month.year}/month={month.month}/{name}"
    turn.place.write(turn.folder + key, b"rows")
    return DataFile(key, 3, 4, month)


def publish(place: LakeStore, *months: Month, span: MonthRange | None = None) -> Manifest:
    """A whole run that replaces the table, or its months in the span."""
    turn = begin(place, "scx", quiet)
    files = [written(turn, month) for month in months]
    return commit(turn, [NewFiles("t", span, files, SHAPE)], turn.before)


def data_files(place: LakeStore) -> set[str]:
    return {key for key in place.list() if not key.startswith("_")}


def test_a_lake_that_was_never_written_has_an_empty_manifest(place: LakeStore) -> None:
    assert read_manifest(place, "scx") == Manifest("scx")
    assert Manifest("scx").key == "_manifests/0000000000.json"


def test_a_manifest_reads_back_as_it_was_written() -> None:
    manifest = Manifest(
        "scx", 7, "writer", "run", {MARCH: MADE}, replace(MADE, rows={}), {APRIL: ("why", "since")},
        {"t": (DataFile("t/a", 3, 4, MARCH), DataFile("t/b", 1, 2, None))}, {"t": SHAPE},
    )  # fmt: skip
    assert Manifest.parse(manifest.as_bytes()) == manifest
    bare = Manifest("scx", 1)
    assert Manifest.parse(bare.as_bytes()) == bare
    assert manifest.states == {MARCH: MADE.state}
    assert manifest.keys == {"t/a", "t/b"}


def test_a_manifest_that_stands_in_lakes_already_can_be_read(place: LakeStore) -> None:
    """What is in a lake was written by this version or an earlier one: its text is not ours to change."""
    made = """{"fingerprint": "print", "code_version": "code", "run": "run", "at": "2021-05-01T00:00:00", "rows": {"t": 3}}"""
    place.write(
        "_manifests/0000000007.json",
        f"""{{"format": 1, "star": "scx", "number": 7, "writer": null, "run": "run",
        "months": {{"2021-03": {made}}}, "whole": null, "stale": {{"2021-04": ["why", "since"]}},
        "shapes": {{"t": [["id", "integer", "file"]]}},
        "tables": {{"t": [{{"key": "t/a", "rows": 3, "bytes": 4, "month": "2021-03"}}, {{"key": "t/b", "rows": 1, "bytes": 2, "month": null}}]}}}}""".encode(),
    )
    assert read_manifest(place, "scx") == Manifest(
        "scx", 7, None, "run", {MARCH: MADE}, None, {APRIL: ("why", "since")},
        {"t": (DataFile("t/a", 3, 4, MARCH), DataFile("t/b", 1, 2, None))}, {"t": SHAPE},
    )  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"no JSON", b'{"format": 2}', Manifest("scx").as_bytes()[:-20]]
)
def test_what_is_no_manifest_of_this_format_is_refused_by_name(content: bytes, place: LakeStore) -> None:
    place.write("_manifests/0000000003.json", content)
    with pytest.raises(
        LakeError, match=r"_manifests/0000000003\.json is no manifest that this version reads"
    ):
        read_manifest(place, "scx")


def test_the_latest_manifest_stands(place: LakeStore) -> None:
    for number in (9, 10, 2):
        manifest = Manifest("scx", number, run=str(number))
        place.write(manifest.key, manifest.as_bytes())
    assert read_manifest(place, "scx").run == "10"


def test_files_of_a_span_take_the_place_of_those_of_its_months_alone() -> None:
    files = (DataFile("t/3", 1, 1, MARCH), DataFile("t/4", 1, 1, APRIL))
    manifest = Manifest("scx", files={"t": files, "u": files[:1]})
    new = DataFile("t/0", 2, 2, MARCH)
    assert manifest.of("t", MonthRange(MARCH, MARCH)) == [files[0]]
    assert manifest.of("t") == [*files]
    assert manifest.of("none") == manifest.outside("none", MonthRange(MARCH, MARCH)) == []
    assert manifest.outside("t", MonthRange(MARCH, MARCH)) == [files[1]]
    assert manifest.replaced("t", MonthRange(MARCH, MARCH), [new]) == {"t": (new, files[1]), "u": files[:1]}
    assert manifest.replaced("t", None, [new]) == {"t": (new,), "u": files[:1]}


def test_a_commit_puts_files_in_their_places_and_lists_them(place: LakeStore) -> None:
    made = publish(place, MARCH, APRIL)
    assert made == read_manifest(place, "scx")
    assert (made.writer, made.shapes, made.number) == (None, {"t": SHAPE}, 2)
    assert made.keys == data_files(place)
    assert all(made.run in key for key in made.keys)
    assert not [key for key in place.list() if key.startswith("_writing")]


def test_a_commit_of_a_month_keeps_the_others_and_removes_what_it_replaced(place: LakeStore) -> None:
    before = publish(place, MARCH, APRIL)
    after = publish(place, MARCH, span=MonthRange(MARCH, MARCH))
    [march] = after.of("t", MonthRange(MARCH, MARCH))
    [april] = after.of("t", MonthRange(APRIL, APRIL))
    assert april in before.files["t"]
    assert march not in before.files["t"]
    assert data_files(place) == {march.key, april.key}


def test_parquet_of_others_in_a_month_that_is_replaced_goes_and_all_else_stays(place: LakeStore) -> None:
    publish(place, MARCH)
    stays = [
        "t/year=2021/month=4/other.parquet",
        "t/year=2021/month=3/notes.txt",
        "u/year=2021/month=3/x.parquet",
        "t/readme",
    ]
    goes = "t/year=2021/month=3/other.parquet"
    for key in (*stays, goes):
        place.write(key, b"x")
    made = publish(place, MARCH, span=MonthRange(MARCH, MARCH))
    assert data_files(place) == made.keys | {*stays}
    whole = publish(place, MARCH)
    assert data_files(place) == whole.keys | {*stays[1:]}, (
        "a table that is replaced as a whole has no other file"
    )


def test_a_run_that_another_one_took_over_from_changes_nothing(place: LakeStore) -> None:
    publish(place, MARCH)
    slow = begin(place, "scx", quiet)
    files = [written(slow, MARCH)]
    quick = begin(place, "scx", lambda message: None)
    before = data_files(place), read_manifest(place, "scx")
    with pytest.raises(LakeError, match="another run began to write after this one"):
        commit(slow, [NewFiles("t", None, files, SHAPE)], slow.before)
    assert (data_files(place), read_manifest(place, "scx")) == before
    made = commit(quick, [NewFiles("t", None, [written(quick, APRIL)], SHAPE)], quick.before)
    assert data_files(place) == made.keys


def test_a_file_that_went_away_before_the_commit_keeps_the_lake_as_it_was(place: LakeStore) -> None:
    before = publish(place, MARCH)
    turn = begin(place, "scx", quiet)
    there, gone = written(turn, MARCH), DataFile("t/year=2021/month=4/gone.parquet", 1, 1, APRIL)
    with pytest.raises(LakeError):
        commit(turn, [NewFiles("t", None, [there, gone], SHAPE)], turn.before)
    assert data_files(place) == before.keys
    assert read_manifest(place, "scx").files == before.files


def test_a_new_run_removes_what_a_broken_one_left_and_nothing_of_others(place: LakeStore) -> None:
    made = publish(place, MARCH)
    broken = begin(place, "scx", quiet)
    written(broken, APRIL)
    place.write(f"t/year=2021/month=4/{broken.run}-data_0.parquet", b"moved, and not listed")
    place.write("t/year=2021/month=4/other.parquet", b"of others")
    told: list[str] = []
    begin(place, "scx", told.append)
    assert told == [f"removing 2 files that a run which was broken off left in {place.url}"]
    assert data_files(place) == made.keys | {"t/year=2021/month=4/other.parquet"}
    assert not [key for key in place.list() if key.startswith("_writing")]


def test_only_the_latest_manifests_are_kept(place: LakeStore) -> None:
    for _ in range(4):
        made = publish(place, MARCH)
    kept = sorted(key for key in place.list() if key.startswith("_manifests"))
    assert len(kept) == KEPT_MANIFESTS
    assert kept[-1] == made.key


def test_a_lake_of_another_star_is_refused_before_anything_is_written(place: LakeStore) -> None:
    publish(place, MARCH)
    before = place.list()
    with pytest.raises(LakeError, match="is the lake of scx: choose another folder for other"):
        begin(place, "other", quiet)
    assert place.list() == before


def test_runs_have_names_in_their_order_whatever_the_clock_says(place: LakeStore) -> None:
    place.write("_writing/29990101T000000000000-00000000/x", b"")
    turn = begin(place, "scx", lambda message: None)
    assert turn.run > "29990101T000000000000"
    # A run that has taken its turn, and written nothing yet, is known by the manifest alone.
    assert begin(place, "scx", quiet).run > turn.run


def test_a_run_that_gives_up_leaves_nothing(place: LakeStore) -> None:
    turn = begin(place, "scx", quiet)
    written(turn, MARCH)
    give_up(turn, quiet)
    assert data_files(place) == set()
    assert not [key for key in place.list() if key.startswith("_writing")]
    assert turn.url_of("t") == f"{place.url}/_writing/{turn.run}/t/"


def test_what_a_run_wrote_and_did_not_list_goes_with_its_commit(place: LakeStore) -> None:
    turn = begin(place, "scx", quiet)
    files = [written(turn, MARCH)]
    written(turn, APRIL)
    made = commit(turn, [NewFiles("t", None, files, SHAPE)], turn.before)
    assert data_files(place) == made.keys
    assert not [key for key in place.list() if key.startswith("_writing")]


class RefusingPlace(LakeStore):
    """A store that refuses to write files of April."""

    def move(self, source: str, target: str) -> bool:
        if "month=4" in target:
            raise LakeError("no right to write")
        return super().move(source, target)


def test_a_store_that_refuses_a_file_keeps_the_lake_as_it_was(place: LakeStore) -> None:
    before = publish(place, MARCH)
    turn = begin(RefusingPlace(place.url, place.store, place.folder), "scx", quiet)
    files = [written(turn, MARCH), written(turn, APRIL)]
    with pytest.raises(LakeError, match="no right to write"):
        commit(turn, [NewFiles("t", None, files, SHAPE)], turn.before)
    assert data_files(place) == before.keys
    assert read_manifest(place, "scx").files == before.files


class LosingPlace(LakeStore):
    """A store whose answer to the creation of a manifest is lost, whether it was done or not."""

    done, error = True, True

    def create(self, key: str, content: bytes) -> bool:
        if self.done:
            self.write(key, content)
        if self.error:
            raise LakeError("no answer")
        return False


@pytest.mark.parametrize(("done", "error"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_lost_answer_is_settled_by_what_the_lake_holds(done: bool, error: bool, place: LakeStore) -> None:
    before = publish(place, MARCH)
    turn = begin(place, "scx", quiet)
    losing = LosingPlace(place.url, place.store, place.folder)
    object.__setattr__(losing, "done", done)
    object.__setattr__(losing, "error", error)
    late = replace(turn, place=losing)
    new = [NewFiles("t", None, [written(turn, APRIL)], SHAPE)]
    if done:
        assert commit(late, new, turn.before).keys == data_files(place)
        return
    with pytest.raises(LakeError, match="no answer" if error else "another run began"):
        commit(late, new, turn.before)
    assert data_files(place) == before.keys
