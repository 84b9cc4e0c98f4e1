"""Transactions on a lake in a folder, without real tables: listing, moving and removing files, and conflicts between runs.

Builds and unloads do not belong here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import LakeError
from scx_pipeline.lake.format.lake_store import LakeStore, open_lake_store
from scx_pipeline.lake.format.manifest import DataFile, Manifest, PartitionState, read_manifest
from scx_pipeline.lake.format.transaction import (
    KEPT_MANIFESTS,
    LakeTransaction,
    NewFiles,
    abort,
    begin_transaction,
    commit,
)
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.changed_months import MonthState

MARCH, APRIL = Month(2021, 3), Month(2021, 4)
SCHEMA = (("id", "integer", "file"),)
MARCH_STATE = PartitionState(MonthState("print", "code"), "run", "2021-05-01T00:00:00", {"t": 3})


@pytest.fixture
def store(tmp_path: Path) -> LakeStore:
    return open_lake_store(f"file://{tmp_path}", "fuzz")


def quiet(message: str) -> None:
    raise AssertionError(message)


def write_file(transaction: LakeTransaction, month: Month, name: str = "data_0.parquet") -> DataFile:
    """Write an unpublished file of the run."""
    key = f"t/year={month.year}/month={month.month}/{name}"
    transaction.store.write(transaction.folder + key, b"rows")
    return DataFile(key, 3, 4, month)


def publish(store: LakeStore, *months: Month, scope: MonthRange | None = None) -> Manifest:
    """Run a transaction that replaces the table, or its months in the scope."""
    transaction = begin_transaction(store, "scx", quiet)
    files = [write_file(transaction, month) for month in months]
    return commit(transaction, [NewFiles("t", scope, files, SCHEMA)], transaction.before)


def data_files(store: LakeStore) -> set[str]:
    return {key for key in store.list() if not key.startswith("_")}


def test_a_lake_that_was_never_written_has_an_empty_manifest(store: LakeStore) -> None:
    assert read_manifest(store, "scx") == Manifest("scx")
    assert Manifest("scx").key == "_manifests/0000000000.json"


def test_a_manifest_reads_back_as_it_was_written() -> None:
    manifest = Manifest(
        "scx", 7, "writer", "run", {MARCH: MARCH_STATE}, replace(MARCH_STATE, rows={}), {APRIL: ("why", "since")},
        {"t": (DataFile("t/a", 3, 4, MARCH), DataFile("t/b", 1, 2, None))}, {"t": SCHEMA},
    )  # fmt: skip
    assert Manifest.parse(manifest.as_bytes()) == manifest
    bare = Manifest("scx", 1)
    assert Manifest.parse(bare.as_bytes()) == bare
    assert manifest.month_states == {MARCH: MARCH_STATE.state}
    assert manifest.file_keys == {"t/a", "t/b"}


def test_a_manifest_of_this_format_in_an_existing_lake_can_be_read(store: LakeStore) -> None:
    """The text is fixed because lakes on disk must stay readable."""
    march = """{"fingerprint": "print", "code_version": "code", "run": "run", "written_at": "2021-05-01T00:00:00", "rows": {"t": 3}}"""
    store.write(
        "_manifests/0000000007.json",
        f"""{{"format": 1, "star": "scx", "number": 7, "writer": null, "run": "run",
        "months": {{"2021-03": {march}}}, "unpartitioned": null, "stale": {{"2021-04": ["why", "since"]}},
        "schemas": {{"t": [["id", "integer", "file"]]}},
        "tables": {{"t": [{{"key": "t/a", "rows": 3, "bytes": 4, "month": "2021-03"}}, {{"key": "t/b", "rows": 1, "bytes": 2, "month": null}}]}}}}""".encode(),
    )
    assert read_manifest(store, "scx") == Manifest(
        "scx", 7, None, "run", {MARCH: MARCH_STATE}, None, {APRIL: ("why", "since")},
        {"t": (DataFile("t/a", 3, 4, MARCH), DataFile("t/b", 1, 2, None))}, {"t": SCHEMA},
    )  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"no JSON", b'{"format": 2}', Manifest("scx").as_bytes()[:-20]]
)
def test_a_file_that_is_not_a_manifest_of_this_format_is_named_in_the_error(
    content: bytes, store: LakeStore
) -> None:
    store.write("_manifests/0000000003.json", content)
    with pytest.raises(
        LakeError, match=r"_manifests/0000000003\.json is not a manifest that this version can read"
    ):
        read_manifest(store, "scx")


def test_the_manifest_with_the_highest_number_is_current(store: LakeStore) -> None:
    for number in (9, 10, 2):
        manifest = Manifest("scx", number, run=str(number))
        store.write(manifest.key, manifest.as_bytes())
    assert read_manifest(store, "scx").run == "10"


def test_files_of_a_scope_replace_only_those_of_its_months() -> None:
    files = (DataFile("t/3", 1, 1, MARCH), DataFile("t/4", 1, 1, APRIL))
    manifest = Manifest("scx", files={"t": files, "u": files[:1]})
    new = DataFile("t/0", 2, 2, MARCH)
    assert manifest.select_files("t", MonthRange(MARCH, MARCH)) == [files[0]]
    assert manifest.select_files("t") == [*files]
    assert manifest.select_files("none") == manifest.files_outside("none", MonthRange(MARCH, MARCH)) == []
    assert manifest.files_outside("t", MonthRange(MARCH, MARCH)) == [files[1]]
    assert manifest.replace_files("t", MonthRange(MARCH, MARCH), [new]) == {
        "t": (new, files[1]),
        "u": files[:1],
    }
    assert manifest.replace_files("t", None, [new]) == {"t": (new,), "u": files[:1]}


def test_a_commit_moves_files_to_their_final_keys_and_lists_them(store: LakeStore) -> None:
    manifest = publish(store, MARCH, APRIL)
    assert manifest == read_manifest(store, "scx")
    assert (manifest.writer, manifest.schemas, manifest.number) == (None, {"t": SCHEMA}, 2)
    assert manifest.file_keys == data_files(store)
    assert all(manifest.run in key for key in manifest.file_keys)
    assert not [key for key in store.list() if key.startswith("_writing")]


def test_a_commit_of_a_month_keeps_other_months_and_removes_replaced_files(store: LakeStore) -> None:
    before = publish(store, MARCH, APRIL)
    after = publish(store, MARCH, scope=MonthRange(MARCH, MARCH))
    [march] = after.select_files("t", MonthRange(MARCH, MARCH))
    [april] = after.select_files("t", MonthRange(APRIL, APRIL))
    assert april in before.files["t"]
    assert march not in before.files["t"]
    assert data_files(store) == {march.key, april.key}


def test_foreign_parquet_files_in_a_replaced_month_are_removed_and_other_files_kept(store: LakeStore) -> None:
    publish(store, MARCH)
    kept = [
        "t/year=2021/month=4/other.parquet",
        "t/year=2021/month=3/notes.txt",
        "u/year=2021/month=3/x.parquet",
        "t/readme",
    ]
    removed = "t/year=2021/month=3/other.parquet"
    for key in (*kept, removed):
        store.write(key, b"x")
    one_month = publish(store, MARCH, scope=MonthRange(MARCH, MARCH))
    assert data_files(store) == one_month.file_keys | {*kept}
    all_months = publish(store, MARCH)
    assert data_files(store) == all_months.file_keys | {*kept[1:]}, (
        "a table that is replaced entirely has no other Parquet file"
    )


def test_a_run_that_lost_the_write_lock_changes_nothing(store: LakeStore) -> None:
    publish(store, MARCH)
    slow = begin_transaction(store, "scx", quiet)
    files = [write_file(slow, MARCH)]
    quick = begin_transaction(store, "scx", lambda message: None)
    before = data_files(store), read_manifest(store, "scx")
    with pytest.raises(LakeError, match="another run started to write after this one"):
        commit(slow, [NewFiles("t", None, files, SCHEMA)], slow.before)
    assert (data_files(store), read_manifest(store, "scx")) == before
    manifest = commit(quick, [NewFiles("t", None, [write_file(quick, APRIL)], SCHEMA)], quick.before)
    assert data_files(store) == manifest.file_keys


def test_a_file_that_disappears_before_the_commit_leaves_the_lake_unchanged(store: LakeStore) -> None:
    before = publish(store, MARCH)
    transaction = begin_transaction(store, "scx", quiet)
    existing = write_file(transaction, MARCH)
    missing = DataFile("t/year=2021/month=4/missing.parquet", 1, 1, APRIL)
    with pytest.raises(LakeError):
        commit(transaction, [NewFiles("t", None, [existing, missing], SCHEMA)], transaction.before)
    assert data_files(store) == before.file_keys
    assert read_manifest(store, "scx").files == before.files


def test_a_new_run_removes_the_orphan_files_of_an_interrupted_run_and_no_others(store: LakeStore) -> None:
    manifest = publish(store, MARCH)
    interrupted = begin_transaction(store, "scx", quiet)
    write_file(interrupted, APRIL)
    store.write(f"t/year=2021/month=4/{interrupted.run}-data_0.parquet", b"moved, but not listed")
    store.write("t/year=2021/month=4/other.parquet", b"foreign")
    messages: list[str] = []
    begin_transaction(store, "scx", messages.append)
    assert messages == [f"removing 2 orphan files of an interrupted run from {store.url}"]
    assert data_files(store) == manifest.file_keys | {"t/year=2021/month=4/other.parquet"}
    assert not [key for key in store.list() if key.startswith("_writing")]


def test_only_the_latest_manifests_are_kept(store: LakeStore) -> None:
    for _ in range(4):
        manifest = publish(store, MARCH)
    kept = sorted(key for key in store.list() if key.startswith("_manifests"))
    assert len(kept) == KEPT_MANIFESTS
    assert kept[-1] == manifest.key


def test_a_lake_of_another_star_is_refused_before_any_write(store: LakeStore) -> None:
    publish(store, MARCH)
    before = store.list()
    with pytest.raises(LakeError, match="is the lake of scx: choose another folder for other"):
        begin_transaction(store, "other", quiet)
    assert store.list() == before


def test_run_ids_sort_in_the_order_of_the_runs_even_if_clocks_disagree(store: LakeStore) -> None:
    store.write("_writing/29990101T000000000000-00000000/x", b"")
    transaction = begin_transaction(store, "scx", lambda message: None)
    assert transaction.run > "29990101T000000000000"
    # A run that has taken the write lock but written no files is known only from the manifest.
    assert begin_transaction(store, "scx", quiet).run > transaction.run


def test_an_aborted_run_leaves_no_files(store: LakeStore) -> None:
    transaction = begin_transaction(store, "scx", quiet)
    write_file(transaction, MARCH)
    abort(transaction, quiet)
    assert data_files(store) == set()
    assert not [key for key in store.list() if key.startswith("_writing")]
    assert transaction.url_of("t") == f"{store.url}/_writing/{transaction.run}/t/"


def test_a_commit_removes_the_files_of_the_run_that_it_does_not_list(store: LakeStore) -> None:
    transaction = begin_transaction(store, "scx", quiet)
    files = [write_file(transaction, MARCH)]
    write_file(transaction, APRIL)
    manifest = commit(transaction, [NewFiles("t", None, files, SCHEMA)], transaction.before)
    assert data_files(store) == manifest.file_keys
    assert not [key for key in store.list() if key.startswith("_writing")]


class ReadOnlyAprilStore(LakeStore):
    """A store that refuses to write files of April."""

    def move(self, source: str, target: str) -> bool:
        if "month=4" in target:
            raise LakeError("no right to write")
        return super().move(source, target)


def test_a_store_that_refuses_a_file_leaves_the_lake_unchanged(store: LakeStore) -> None:
    before = publish(store, MARCH)
    transaction = begin_transaction(ReadOnlyAprilStore(store.url, store.store, store.folder), "scx", quiet)
    files = [write_file(transaction, MARCH), write_file(transaction, APRIL)]
    with pytest.raises(LakeError, match="no right to write"):
        commit(transaction, [NewFiles("t", None, files, SCHEMA)], transaction.before)
    assert data_files(store) == before.file_keys
    assert read_manifest(store, "scx").files == before.files


class UnresponsiveStore(LakeStore):
    """A store whose response to the creation of a manifest is lost, whether the manifest was created or not."""

    is_created, raises = True, True

    def create(self, key: str, content: bytes) -> bool:
        if self.is_created:
            self.write(key, content)
        if self.raises:
            raise LakeError("no answer")
        return False


@pytest.mark.parametrize(
    ("is_created", "raises"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_a_lost_response_is_resolved_by_reading_the_lake(
    is_created: bool, raises: bool, store: LakeStore
) -> None:
    before = publish(store, MARCH)
    transaction = begin_transaction(store, "scx", quiet)
    unresponsive = UnresponsiveStore(store.url, store.store, store.folder)
    object.__setattr__(unresponsive, "is_created", is_created)
    object.__setattr__(unresponsive, "raises", raises)
    late = replace(transaction, store=unresponsive)
    new = [NewFiles("t", None, [write_file(transaction, APRIL)], SCHEMA)]
    if is_created:
        assert commit(late, new, transaction.before).file_keys == data_files(store)
        return
    with pytest.raises(LakeError, match="no answer" if raises else "another run started"):
        commit(late, new, transaction.before)
    assert data_files(store) == before.file_keys
