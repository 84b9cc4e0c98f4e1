"""Random histories of a star with unpartitioned tables: songs and events are added, changed and deleted between loads.

After each load, months that it had to hold have the events of their last good load, the others those of their files.

The histories run on several engines side by side; those of the other stars do not belong here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, note

from scx_pipeline.errors import PipelineError
from scx_pipeline.model.calendar import Month, MonthRange
from scx_pipeline.planning.run_requests import split_scopes
from scx_pipeline_tests.purity.expected_plays import Record, by_month, expected_by_month, expected_rows
from scx_pipeline_tests.purity.load_counts import LoadCounts
from scx_pipeline_tests.purity.music_history import (
    DAYS,
    HISTORIES,
    MONTHS,
    Clean,
    Delete,
    Load,
    Play,
    PutDay,
    PutSongs,
    Settle,
    Song,
    Step,
)
from scx_pipeline_tests.purity.purity_settings import purity_settings
from scx_pipeline_tests.support.broken_statements import failing_statement
from scx_pipeline_tests.support.load_env import filled
from scx_pipeline_tests.support.music_env import SONGS, MusicEnv
from scx_pipeline_tests.support.snapshots import Snapshot

KEY_AND_LEVEL = ("session_id", "item_in_session", "level")


REJECT_LIMIT = 0.05


@dataclass(frozen=True)
class Published:
    """A month as it was last published: its files, and its events."""

    files: frozenset[PutDay]
    events: tuple[Record, ...]


@dataclass
class Driver:
    """Runs the steps of a history in one bucket and several warehouses, and compares the results."""

    folder: Path
    load_envs: Sequence[MusicEnv]
    days: dict[str, PutDay] = field(default_factory=dict)
    songs: dict[str, tuple[Song, ...]] = field(default_factory=dict)
    states: list[dict[Month, Published]] = field(default_factory=list)  # expected, by load environment
    builds: int = 0
    counts: LoadCounts = field(default_factory=LoadCounts)

    def __post_init__(self) -> None:
        self.states = [{} for _ in self.load_envs]

    def run_step(self, step: Step) -> None:
        match step:
            case PutDay(day):
                if day in self.days:
                    self.delete(self.days[day].key)
                self.days[day] = step
                self.load_envs[0].put_key(step.key, step.content())
            case PutSongs(name, songs):
                self.songs[name] = songs
                documents = [item.document() for item in songs]
                self.load_envs[0].put_song(name, documents[0] if len(documents) == 1 else documents)
            case Delete(key):
                self.delete(key)
            case Load():
                for number in range(len(self.load_envs)):
                    self.load(number, step)
            case Settle():
                self.settle()
            case Clean():
                self.clean()

    def delete(self, key: str) -> None:
        present = [put.key for put in self.days.values()]
        present += [f"{SONGS}{name}.json" for name in self.songs]
        if key in present:
            self.load_envs[0].delete_key(key)
            self.days = {day: put for day, put in self.days.items() if put.key != key}
            self.songs.pop(key.removeprefix(SONGS).removesuffix(".json"), None)

    def of_month(self, month: Month) -> Published:
        """Return a month's files and the events that it has in them."""
        files = [put for put in self.days.values() if put.may_contain(month)]
        events = [record for put in files for time, record in put.events() if Month.of(time) == month]
        return Published(frozenset(files), tuple(events))

    def must_hold(self, month: Month) -> bool:
        """Return whether a month has a refused event, or more than the limit of a source's lines are rejected."""
        found = self.of_month(month)
        for as_csv in (False, True):
            files = [put for put in found.files if put.as_csv == as_csv]
            rejected = sum(put.bad_lines for put in files)
            if rejected > REJECT_LIMIT * (rejected + sum(len(put.records()) for put in files)):
                return True
        return any(record["level"] == "gold" for record in found.events)

    def load(self, number: int, load: Load) -> None:
        """Load, and compare with what is expected; a load that is interrupted, or not possible, changes nothing."""
        load_env, before = self.load_envs[number], self.load_envs[number].snapshot()
        first, last = load.months or (0, 0)
        months = MonthRange(MONTHS[first], MONTHS[last]) if load.months else None
        reads_files = months is not None and not load.tables
        held = {month for month in months or () if reads_files and self.must_hold(month)}
        with failing_statement(load.breaks) as broken:
            failure = self.try_run(load_env, load, months)
        after = load_env.snapshot()
        if (broken and failure and after == before) or "was never loaded" in str(failure):
            assert after == before
            return
        assert isinstance(failure, PipelineError) if held else failure is None, failure
        if held and held == set(months or ()):
            assert after == before
        if reads_files:
            self.states[number] |= {
                month: self.of_month(month) for month in months or () if month not in held
            }
        self.check_events(number, after)
        self.check_references(load_env)

    def try_run(self, load_env: MusicEnv, load: Load, months: MonthRange | None) -> Exception | None:
        try:
            if months is None:
                self.refresh(load_env)
            else:
                self.counts.add(load_env, load_env.loader().load(months, load.tables or None))
        except Exception as error:
            self.counts.add(load_env, getattr(error, "report", None))
            return error
        return None

    def check_events(self, number: int, found: Snapshot) -> None:
        """Check that the staging table has exactly the events that were published last of each month."""
        star = self.load_envs[number].compiled.star
        position = [star.table("staging_events").column_names.index(name) for name in KEY_AND_LEVEL]
        rows = [tuple(row[index] for index in position) for row in found.get("staging_events", [])]
        published = [record for month in self.states[number].values() for record in month.events]
        expected = [(record["sessionId"], record["itemInSession"], record["level"]) for record in published]
        assert sorted(rows) == sorted(expected)

    def refresh(self, load_env: MusicEnv) -> None:
        report = load_env.refresh()
        if not load_env.snapshot():
            return
        wrong = {
            month
            for month, rows in by_month(load_env).items()
            if rows != expected_by_month(load_env).get(month, [])
        }
        noted = {str(month) for month, _ in load_env.state("stale_months", "month, reason")}
        assert noted == wrong, "exactly the months whose plays would now be different are stale"
        assert not noted & {str(month) for part in report.rebuilds for month in part.tables["songplays"].rows}

    def check_references(self, load_env: MusicEnv) -> None:
        """Check that every play has its song, artist, time and user, as readers must find them at any time."""
        if not load_env.snapshot():
            return
        for column, table, key in (
            ("song_id", "songs", "song_id"),
            ("artist_id", "artists", "artist_id"),
            ("start_time", "time", "start_time"),
            ("user_id", "users", "user_id"),
        ):
            orphans = load_env.rows(
                f"SELECT COUNT(*) FROM songplays.songplays WHERE {column} IS NOT NULL"
                f" AND {column} NOT IN (SELECT {key} FROM songplays.{table})"
            )
            assert orphans == [(0,)], column

    def settle(self) -> None:
        """Load what is due, as the sensor does, and compare all that is up to date with the content of the files."""
        songs = [item.document() for items in self.songs.values() for item in items]
        for number, load_env in enumerate(self.load_envs):
            self.load_due(number)
            held = load_env.plan().held
            assert all(self.must_hold(month) for month in held)
            published = [
                record
                for month, found in self.states[number].items()
                for record in found.events
                if month not in held
            ]
            found = load_env.snapshot()
            for name, rows in expected_rows(published, songs).items():
                if name in ("songs", "artists") or not held:
                    assert found.get(name, []) == rows, name
                elif name == "songplays":
                    assert [row for row in found.get(name, []) if Month.of(row[1]) not in held] == rows

    def load_due(self, number: int) -> None:
        """Load until nothing is due but months that are held."""
        load_env = self.load_envs[number]
        while True:
            plan = load_env.plan()
            due = [item.month for item in plan.changed]
            if plan.unpartitioned:
                self.load(number, Load(None))
            elif set(due) == set(plan.held):
                return
            else:
                for scope in split_scopes(due, plan.held):
                    self.load(number, Load((MONTHS.index(scope.first), MONTHS.index(scope.last))))

    def clean(self) -> None:
        for put in list(self.days.values()):
            if put.bad_lines or any(play.level == "gold" for play in put.plays):
                self.delete(put.key)

    def repair(self) -> None:
        """Delete the files that keep months from being published, load, and compare with a build from scratch."""
        self.clean()
        self.settle()
        built = self.build()
        for load_env in self.load_envs:
            assert not load_env.plan().changed
            assert filled(load_env) == built, load_env.warehouse.capabilities.name

    def build(self) -> Snapshot:
        """Return the tables after a load into an empty DuckDB."""
        self.builds += 1
        load_env = MusicEnv(self.load_envs[0].bucket_url, f"duckdb://{self.folder}/built{self.builds}.duckdb")
        load_env.settle()
        return filled(load_env)


@pytest.mark.redshift
@pytest.mark.histories
def test_any_history_of_songs_and_events_equals_a_build_from_scratch(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]],
) -> None:
    counts = LoadCounts()

    @given(history=HISTORIES)
    @purity_settings(examples=2)
    def run(history: list[Step]) -> None:
        with tempfile.TemporaryDirectory(prefix="scx-music-") as name:
            folder = Path(name)
            load_envs = [MusicEnv(*load_urls) for load_urls in fresh_load_urls(folder)]
            driver = Driver(folder, load_envs, counts=counts)
            for step in history:
                note(repr(step))
                driver.run_step(step)
            driver.settle()
            driver.repair()

    run()
    counts.check_share(least=0.2)


@pytest.mark.redshift
@pytest.mark.histories
def test_a_month_with_a_refused_event_keeps_its_plays_and_the_other_month_is_published(
    fresh_load_urls: Callable[[Path], list[tuple[str, str]]], tmp_path: Path
) -> None:
    driver = Driver(tmp_path, [MusicEnv(*load_urls) for load_urls in fresh_load_urls(tmp_path)])
    one, other, refused = Play(1, 1), Play(1, 2, user=2), Play(1, 3, level="gold")
    before = PutDay(DAYS[0], (one,)), PutDay(DAYS[2], (one,)), Load((0, 1))
    after = PutDay(DAYS[0], (other, refused)), PutDay(DAYS[2], (one, other)), Load((0, 1))
    for step in (PutSongs("A/A/TRAA1", (Song(1),)), Load(None), *before, *after):
        driver.run_step(step)
    assert [list(load_env.plan().held) for load_env in driver.load_envs] == [[MONTHS[0]]] * 3
    driver.settle()
    driver.repair()
