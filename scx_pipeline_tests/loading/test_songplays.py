"""The songplays star from files to tables: the public data set's known answers, and songs that come late, change and go.
What is quarantined is in test_bad_json.py; random histories of the star are in test_music_purity.py."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline.errors import CheckFailedError, PipelineError
from scx_pipeline.model.calendar import UNPARTITIONED, MonthRange
from scx_pipeline_tests.support.music_env import EVENTS, SONGS, MusicWorld, event, lines, month, song

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "music"
pytestmark = pytest.mark.whoever_reads  # that Redshift reads JSON as we do is tested beside it
public_data = pytest.mark.skipif(
    not PUBLIC.is_dir(),
    reason=f"needs the public music data set (log_data/ and song_data/) as {PUBLIC}",
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


def counts(music: MusicWorld) -> dict[str, int]:
    return {name: music.table(name, "COUNT(*)")[0][0] for name in KNOWN}


def assert_known_answers(music: MusicWorld) -> None:
    assert counts(music) == KNOWN
    assert [row for row in music.plays() if row[1] is not None] == THE_PLAY
    assert music.table("staging_events", "COUNT(*) - COUNT(user_id)") == [(286,)]
    assert not music.state("rejected_rows")


@public_data
def test_the_public_data_loaded_whole_gives_the_known_answers(music: MusicWorld) -> None:
    for folder in (EVENTS, SONGS):
        music.copy(PUBLIC / folder, PUBLIC)
    assert music.settle() == [None, MonthRange(month("2018-10"), month("2018-12"))]
    assert_known_answers(music)
    assert music.settle() == []


@public_data
def test_the_public_data_loaded_a_few_files_at_a_time_in_any_order_and_twice_gives_the_known_answers(
    music: MusicWorld,
) -> None:
    files = [path.relative_to(PUBLIC) for path in PUBLIC.rglob("*.json")]
    random.Random(3).shuffle(files)
    for number, file in enumerate(files):
        music.put_key(file.as_posix(), (PUBLIC / file).read_bytes())
        if number % 6 == 0:
            music.loader().load(NOVEMBER)
        elif number % 6 == 3:
            music.refresh()
    music.settle()
    assert_known_answers(music)
    music.loader().load(NOVEMBER)
    music.refresh()
    assert_known_answers(music)
    assert music.settle() == []


@public_data
def test_the_same_events_in_a_second_file_count_once(music: MusicWorld) -> None:
    music.copy(PUBLIC / EVENTS, PUBLIC)
    day = PUBLIC / EVENTS / "2018/11/2018-11-15-events.json"
    music.put_key(f"{EVENTS}2018/11/again-events.json", day.read_bytes())
    music.settle()
    assert music.table("staging_events", "COUNT(*)") == [(8056,)]
    assert music.rows("SELECT SUM(rows_deduplicated) FROM scx_pipeline.objects") == [(533,)]


def three_months(music: MusicWorld) -> None:
    """A play of the song of `song` in the first and last month, and one of another song in the month between."""
    music.put_day("2018-09-10", [event(1, 0, "2018-09-10 10:00:00")])
    music.put_day("2018-10-10", [event(2, 0, "2018-10-10 10:00:00", song="Undo")])
    music.put_day(
        "2018-11-10", [event(3, 0, "2018-11-10 10:00:00"), event(3, 1, "2018-11-10 10:05:00", page="Home")]
    )
    music.settle()


def test_a_late_song_makes_stale_exactly_the_months_that_play_it(music: MusicWorld) -> None:
    three_months(music)
    assert {row[1] for row in music.plays()} == {None}
    music.put_song("a", song("SO1"))
    assert music.changed() == [], "which months change is not known before the songs were looked at"
    report = music.refresh()
    assert [str(item) for item in report.stale] == ["2018-09", "2018-11"]
    assert music.changed() == ["2018-09", "2018-11"]
    assert {item.reason for item in music.plan().changed} == {"artists, songs changed"}
    assert music.settle() == [MonthRange(month(text), month(text)) for text in ("2018-09", "2018-11")]
    artist = "AR5KOSW1187FB35FF4"
    assert music.plays() == [(100000, "SO1", artist), (200000, None, None), (300000, "SO1", artist)]


def test_a_song_that_nobody_played_makes_no_month_stale(music: MusicWorld) -> None:
    three_months(music)
    music.put_song("a", song("SO1", title="Unheard"))
    assert music.refresh().stale == {}
    assert music.settle() == []
    assert music.table("songs", "song_id") == [("SO1",)]


def test_a_file_that_says_the_same_again_makes_no_month_stale(music: MusicWorld) -> None:
    three_months(music)
    music.put_song("a", song("SO1"))
    music.settle()
    music.put_song("b", song("SO1"))
    assert music.plan().unpartitioned == "objects changed"
    assert music.refresh().stale == {}
    assert music.settle() == []


def test_a_month_stays_stale_until_it_is_loaded_again(music: MusicWorld) -> None:
    three_months(music)
    music.put_song("a", song("SO1"))
    music.refresh()
    music.put_song("b", song("SO2", title="Unheard"))
    music.refresh()
    music.loader().load(MonthRange(month("2018-09"), month("2018-09")), ["users"])
    assert music.changed() == ["2018-09", "2018-11"]
    music.loader().load(MonthRange(month("2018-09"), month("2018-09")), ["songplays"])
    assert music.changed() == ["2018-11"]


def test_a_month_is_stale_no_more_once_its_song_is_as_it_was(music: MusicWorld) -> None:
    three_months(music)
    music.put_song("a", song("SO1"))
    music.refresh()
    music.put_song("a", song("SO1", title="Unheard"))
    assert music.refresh().stale == {}
    assert music.changed() == []


def test_a_stale_month_before_the_first_one_is_forgotten_when_the_others_are_rebuilt(
    music: MusicWorld,
) -> None:
    three_months(music)
    music.put_song("a", song("SO1"))
    music.refresh()
    star = music.compiled.star.model_copy(update={"first_month": month("2018-10")})
    music.compiled = replace(music.compiled, star=star)
    assert sorted(music.plan().stale) == [month("2018-09"), month("2018-11")]
    music.load("2018-10", "2018-11")
    assert music.plan().stale == {}
    assert music.state("stale_months") == []
    assert music.plays("songplay_id, song_id") == [(200000, None), (300000, "SO1")]


def test_plays_never_point_to_a_song_that_is_gone(music: MusicWorld) -> None:
    music.put_song("a", song("SO1"))
    music.put_song("b", song("SO2", artist_id="AR2", artist_name="Björk", title="Undo"))
    three_months(music)
    music.delete_key(f"{SONGS}a.json")
    report = music.refresh()
    assert [str(part.scope) for part in report.remade] == ["2018-09", "2018-11"]
    assert report.stale == {}
    assert {row[1] for row in music.plays()} == {None}
    assert music.settle() == []


def test_a_month_can_be_loaded_before_any_song(music: MusicWorld) -> None:
    music.put_day("2018-11-10", [event(3, 0, "2018-11-10 10:00:00")])
    music.load("2018-11")
    assert music.plays() == [(300000, None, None)]
    assert music.plan().unpartitioned is None, "there are no songs to read"


def test_songs_can_be_loaded_before_any_month(music: MusicWorld) -> None:
    music.put_song("a", song("SO1"))
    report = music.refresh()
    assert report.scope is UNPARTITIONED
    assert {name: dict(table.rows) for name, table in report.tables.items()} == {
        name: {None: 1} for name in ("staging_songs", "songs", "artists")
    }
    assert music.changed() == []


def test_a_song_may_have_several_documents_in_one_file(music: MusicWorld) -> None:
    music.put_song("both", [song("SO1"), song("SO2", title="Unheard")])
    music.put_song("none", [])
    music.put_key(f"{SONGS}empty.json", b"\n")
    music.refresh()
    assert music.table("songs", "song_id") == [("SO1",), ("SO2",)]
    assert music.rows("SELECT object_key, rows_read FROM scx_pipeline.objects ORDER BY object_key") == [
        (f"{SONGS}both.json", 2),
        (f"{SONGS}empty.json", 0),
        (f"{SONGS}none.json", 0),
    ]


def test_compressed_songs_and_events_are_read(music: MusicWorld) -> None:
    music.put_key(f"{SONGS}a.json.gz", gzip.compress(json.dumps(song("SO1")).encode()))
    music.put_day("2018-11-10", gzip.compress(lines([event(3, 0, "2018-11-10 10:00:00")])), ".gz")
    music.settle()
    assert music.plays("songplay_id, song_id") == [(300000, "SO1")]


def test_a_table_without_months_is_no_part_of_a_month_s_load(music: MusicWorld) -> None:
    music.put_song("a", song("SO1"))
    with pytest.raises(PipelineError, match="songs of songplays has no months: refresh it instead"):
        music.load("2018-11", tables=["songs"])


def test_a_refused_song_leaves_the_songs_that_stand(music: MusicWorld) -> None:
    music.put_song("a", song("SO1"))
    three_months(music)
    before = music.snapshot()
    music.put_song("b", song("SO2", artist_latitude=1000))
    with pytest.raises(
        CheckFailedError, match="songplays without months was not published.*range_artist_latitude"
    ):
        music.refresh()
    assert music.snapshot() == before


def test_two_songs_alike_count_a_play_once(music: MusicWorld) -> None:
    music.put_song("a", song("SO2"))
    music.put_song("b", song("SO1", artist_id="AR9"))
    three_months(music)
    assert music.plays() == [(100000, "SO1", "AR9"), (200000, None, None), (300000, "SO1", "AR9")]


def test_events_about_midnight_go_to_the_month_of_their_time(music: MusicWorld) -> None:
    music.put_day("2018-10-31", [event(1, 0, "2018-10-31 23:59:59.999"), event(1, 1, "2018-11-01 00:00:00")])
    assert music.settle() == [MonthRange(month("2018-10"), month("2018-11"))]
    counted = (
        "SELECT month, row_count FROM scx_pipeline.month_rows WHERE table_name = 'songplays' ORDER BY month"
    )
    assert music.rows(counted) == [("2018-10", 1), ("2018-11", 1)]


def test_events_and_songs_are_read_from_s3(tmp_path: Path, s3_bucket: str) -> None:
    music = MusicWorld(s3_bucket, f"duckdb://{tmp_path}/dev.duckdb")
    for number in range(150):
        music.put_song(f"{number % 3}/song {number}", song(f"SO{number}", title=f"song {number}"))
    music.put_day(
        "2018-11-10", [event(1, item, "2018-11-10 10:00:00", song=f"song {item}") for item in range(9)]
    )
    assert music.settle() == [None, NOVEMBER]
    assert music.plays("song_id") == [(f"SO{item}",) for item in range(9)]
    music.put_song("0/song 3", song("SO3", title="another"))
    music.delete_key(f"{SONGS}1/song 4.json")
    assert music.settle() == [UNPARTITIONED], (
        "a play of a song that is gone cannot wait for a load of its month"
    )
    assert [row for row in music.plays("song_id, songplay_id") if row[0] is None] == [
        (None, 100003),
        (None, 100004),
    ]
