"""The songplays star from files to tables: the known answers of the public data set, and late, changed and deleted songs."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange
from scx_pipeline_tests.support.music_env import (
    EVENTS,
    SONGS,
    MusicEnv,
    create_music_env,
    event,
    lines,
    month,
    song,
)

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "music"
pytestmark = pytest.mark.reader_independent
public_data = pytest.mark.skipif(
    not PUBLIC.is_dir(), reason=f"needs the public music data set (log_data/ and song_data/) as {PUBLIC}"
)
KNOWN = {
    "staging_events": 8056,
    "staging_songs": 71,
    "users": 96,
    "songs": 71,
    "artists": 69,
    "time": 6813,
    "songplays": 6820,
}
THE_PLAY = [(81800005, "SOZCTXZ12AB0182364", "AR5KOSW1187FB35FF4")]
NOVEMBER = MonthRange(month("2018-11"), month("2018-11"))


def counts(music_env: MusicEnv) -> dict[str, int]:
    return {name: music_env.table(name, "COUNT(*)")[0][0] for name in KNOWN}


def assert_known_answers(music_env: MusicEnv) -> None:
    assert counts(music_env) == KNOWN
    assert [row for row in music_env.plays() if row[1] is not None] == THE_PLAY
    assert music_env.table("staging_events", "COUNT(*) - COUNT(user_id)") == [(286,)]
    assert not music_env.state("rejected_rows")


@public_data
def test_the_public_data_loaded_at_once_gives_the_known_answers(music_env: MusicEnv) -> None:
    for folder in (EVENTS, SONGS):
        music_env.copy(PUBLIC / folder, PUBLIC)
    assert music_env.settle() == [UNPARTITIONED, MonthRange(month("2018-10"), month("2018-12"))]
    assert_known_answers(music_env)
    assert music_env.settle() == []


@public_data
def test_the_public_data_loaded_a_few_files_at_a_time_in_any_order_and_twice_gives_the_known_answers(
    music_env: MusicEnv,
) -> None:
    files = [path.relative_to(PUBLIC) for path in PUBLIC.rglob("*.json")]
    random.Random(3).shuffle(files)
    # On servers, where a load takes longer, more files at a time.
    between = 12 if music_env.warehouse_url.startswith("duckdb") else 30
    for number, file in enumerate(files):
        music_env.put_key(file.as_posix(), (PUBLIC / file).read_bytes())
        if number % between == 0:
            music_env.loader().load(NOVEMBER)
        elif number % between == between // 2:
            music_env.refresh()
    music_env.settle()
    assert_known_answers(music_env)
    music_env.loader().load(NOVEMBER)
    music_env.refresh()
    assert_known_answers(music_env)
    assert music_env.settle() == []


@public_data
@given(data=st.data())
@settings(max_examples=3)
def test_the_public_data_gives_the_same_rows_as_json_or_csv_or_both(data: st.DataObject) -> None:
    days = sorted((PUBLIC / EVENTS).rglob("*-events.json"))
    as_csv = data.draw(st.one_of(st.just(set(days)), st.sets(st.sampled_from(days))), "days as CSV")
    found = []
    for files in (as_csv, ()):
        with tempfile.TemporaryDirectory(prefix="scx-music-") as folder:
            music_env = create_music_env(Path(folder))
            music_env.copy(PUBLIC / SONGS, PUBLIC)
            for path in days:
                music_env.put_events(path, PUBLIC, as_csv=path in files)
            music_env.settle()
            assert_known_answers(music_env)
            assert music_env.plan().selection.ignored == ()
            assert len(music_env.state("objects")) == 30 + 71
            found.append({name: music_env.table(name) for name in KNOWN})
    assert found[0] == found[1]


@public_data
def test_events_repeated_in_a_second_file_are_loaded_once(music_env: MusicEnv) -> None:
    music_env.copy(PUBLIC / EVENTS, PUBLIC)
    day = PUBLIC / EVENTS / "2018/11/2018-11-15-events.json"
    music_env.put_key(f"{EVENTS}2018/11/again-events.json", day.read_bytes())
    music_env.settle()
    assert music_env.table("staging_events", "COUNT(*)") == [(8056,)]
    assert music_env.rows("SELECT SUM(rows_deduplicated) FROM scx_pipeline.objects") == [(533,)]


def three_months(music_env: MusicEnv) -> None:
    """Load a play of the default song in the first and last month, and one of another song in the month between."""
    music_env.put_day("2018-09-10", [event(1, 0, "2018-09-10 10:00:00")])
    music_env.put_day("2018-10-10", [event(2, 0, "2018-10-10 10:00:00", song="Undo")])
    music_env.put_day(
        "2018-11-10", [event(3, 0, "2018-11-10 10:00:00"), event(3, 1, "2018-11-10 10:05:00", page="Home")]
    )
    music_env.settle()


def test_a_late_song_makes_exactly_the_months_that_play_it_stale(music_env: MusicEnv) -> None:
    three_months(music_env)
    assert {row[1] for row in music_env.plays()} == {None}
    music_env.put_song("a", song("SO1"))
    assert music_env.changed() == [], "the changed months are unknown before the songs are loaded"
    report = music_env.refresh()
    assert [str(item) for item in report.stale] == ["2018-09", "2018-11"]
    assert music_env.changed() == ["2018-09", "2018-11"]
    assert {item.reason for item in music_env.plan().changed} == {"artists, songs changed"}
    assert music_env.settle() == [MonthRange(month(text), month(text)) for text in ("2018-09", "2018-11")]
    artist = "AR5KOSW1187FB35FF4"
    assert music_env.plays() == [(100000, "SO1", artist), (200000, None, None), (300000, "SO1", artist)]


def test_a_song_without_plays_makes_no_month_stale(music_env: MusicEnv) -> None:
    three_months(music_env)
    music_env.put_song("a", song("SO1", title="Unheard"))
    assert music_env.refresh().stale == {}
    assert music_env.settle() == []
    assert music_env.table("songs", "song_id") == [("SO1",)]


def test_a_file_that_repeats_a_song_makes_no_month_stale(music_env: MusicEnv) -> None:
    three_months(music_env)
    music_env.put_song("a", song("SO1"))
    music_env.settle()
    music_env.put_song("b", song("SO1"))
    assert music_env.plan().unpartitioned == "objects changed"
    assert music_env.refresh().stale == {}
    assert music_env.settle() == []


def test_a_month_stays_stale_until_it_is_loaded_again(music_env: MusicEnv) -> None:
    three_months(music_env)
    music_env.put_song("a", song("SO1"))
    music_env.refresh()
    music_env.put_song("b", song("SO2", title="Unheard"))
    music_env.refresh()
    music_env.loader().load(MonthRange(month("2018-09"), month("2018-09")), ["users"])
    assert music_env.changed() == ["2018-09", "2018-11"]
    music_env.loader().load(MonthRange(month("2018-09"), month("2018-09")), ["songplays"])
    assert music_env.changed() == ["2018-11"]


def test_a_month_is_no_longer_stale_once_its_song_is_restored(music_env: MusicEnv) -> None:
    three_months(music_env)
    music_env.put_song("a", song("SO1"))
    music_env.refresh()
    music_env.put_song("a", song("SO1", title="Unheard"))
    assert music_env.refresh().stale == {}
    assert music_env.changed() == []


def test_a_rebuild_clears_stale_months_before_the_first_month(music_env: MusicEnv) -> None:
    three_months(music_env)
    music_env.put_song("a", song("SO1"))
    music_env.refresh()
    star = music_env.compiled.star.model_copy(update={"first_month": month("2018-10")})
    music_env.compiled = replace(music_env.compiled, star=star)
    assert sorted(music_env.plan().stale) == [month("2018-09"), month("2018-11")]
    music_env.load("2018-10", "2018-11")
    assert music_env.plan().stale == {}
    assert music_env.state("stale_months") == []
    assert music_env.plays("songplay_id, song_id") == [(200000, None), (300000, "SO1")]


def test_plays_never_reference_a_deleted_song(music_env: MusicEnv) -> None:
    music_env.put_song("a", song("SO1"))
    music_env.put_song("b", song("SO2", artist_id="AR2", artist_name="Björk", title="Undo"))
    three_months(music_env)
    music_env.delete_key(f"{SONGS}a.json")
    report = music_env.refresh()
    assert [str(part.scope) for part in report.rebuilds] == ["2018-09", "2018-11"]
    assert report.stale == {}
    assert {row[1] for row in music_env.plays()} == {None}
    assert music_env.settle() == []


def test_a_month_can_be_loaded_before_any_song(music_env: MusicEnv) -> None:
    music_env.put_day("2018-11-10", [event(3, 0, "2018-11-10 10:00:00")])
    music_env.load("2018-11")
    assert music_env.plays() == [(300000, None, None)]
    assert music_env.plan().unpartitioned is None, "there are no songs to read"


def test_songs_can_be_loaded_before_any_month(music_env: MusicEnv) -> None:
    music_env.put_song("a", song("SO1"))
    report = music_env.refresh()
    assert report.scope is UNPARTITIONED
    assert {name: dict(table.rows) for name, table in report.tables.items()} == {
        name: {None: 1} for name in ("staging_songs", "songs", "artists")
    }
    assert music_env.changed() == []


def test_a_file_may_contain_several_song_documents(music_env: MusicEnv) -> None:
    music_env.put_song("both", [song("SO1"), song("SO2", title="Unheard")])
    music_env.put_song("none", [])
    music_env.put_key(f"{SONGS}empty.json", b"\n")
    music_env.refresh()
    assert music_env.table("songs", "song_id") == [("SO1",), ("SO2",)]
    assert music_env.rows("SELECT object_key, rows_read FROM scx_pipeline.objects ORDER BY object_key") == [
        (f"{SONGS}both.json", 2),
        (f"{SONGS}empty.json", 0),
        (f"{SONGS}none.json", 0),
    ]


def test_compressed_songs_and_events_are_read(music_env: MusicEnv) -> None:
    music_env.put_key(f"{SONGS}a.json.gz", gzip.compress(json.dumps(song("SO1")).encode()))
    music_env.put_day("2018-11-10", gzip.compress(lines([event(3, 0, "2018-11-10 10:00:00")])), ".gz")
    music_env.settle()
    assert music_env.plays("songplay_id, song_id") == [(300000, "SO1")]


def test_loading_an_unpartitioned_table_for_a_month_is_refused(music_env: MusicEnv) -> None:
    music_env.put_song("a", song("SO1"))
    with pytest.raises(PipelineError, match="songs of songplays is unpartitioned: refresh it instead"):
        music_env.load("2018-11", tables=["songs"])


def test_a_failed_refresh_keeps_the_published_songs(music_env: MusicEnv) -> None:
    music_env.put_song("a", song("SO1"))
    three_months(music_env)
    before = music_env.snapshot()
    music_env.put_song("b", song("SO2", artist_latitude=1000))
    with pytest.raises(
        CheckFailedError, match=r"songplays \(unpartitioned tables\) was not published.*range_artist_latitude"
    ):
        music_env.refresh()
    assert music_env.snapshot() == before


def test_a_play_that_matches_two_songs_is_loaded_once(music_env: MusicEnv) -> None:
    music_env.put_song("a", song("SO2"))
    music_env.put_song("b", song("SO1", artist_id="AR9"))
    three_months(music_env)
    assert music_env.plays() == [(100000, "SO1", "AR9"), (200000, None, None), (300000, "SO1", "AR9")]


def test_events_around_midnight_are_loaded_into_the_month_of_their_time(music_env: MusicEnv) -> None:
    music_env.put_day(
        "2018-10-31", [event(1, 0, "2018-10-31 23:59:59.999"), event(1, 1, "2018-11-01 00:00:00")]
    )
    assert music_env.settle() == [MonthRange(month("2018-10"), month("2018-11"))]
    counted = (
        "SELECT month, row_count FROM scx_pipeline.month_rows WHERE table_name = 'songplays' ORDER BY month"
    )
    assert music_env.rows(counted) == [("2018-10", 1), ("2018-11", 1)]


def test_events_and_songs_are_read_from_s3(tmp_path: Path, s3_bucket: str) -> None:
    music_env = MusicEnv(s3_bucket, f"duckdb://{tmp_path}/dev.duckdb")
    for number in range(150):
        music_env.put_song(f"{number % 3}/song {number}", song(f"SO{number}", title=f"song {number}"))
    music_env.put_day(
        "2018-11-10", [event(1, item, "2018-11-10 10:00:00", song=f"song {item}") for item in range(9)]
    )
    assert music_env.settle() == [UNPARTITIONED, NOVEMBER]
    assert music_env.plays("song_id") == [(f"SO{item}",) for item in range(9)]
    music_env.put_song("0/song 3", song("SO3", title="another"))
    music_env.delete_key(f"{SONGS}1/song 4.json")
    assert music_env.settle() == [UNPARTITIONED], (
        "a play of a deleted song cannot wait for a load of its month"
    )
    assert [row for row in music_env.plays("song_id, songplay_id") if row[0] is None] == [
        (None, 100003),
        (None, 100004),
    ]
