"""A generated bucket of events and songs, loaded: what the generator says is in it is what stands afterwards.
What the generator writes is tested in samples/test_songplays.py."""

from __future__ import annotations

from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions, generate
from scx_pipeline_tests.support.music_env import MusicWorld


def test_a_load_finds_what_the_generator_says_there_is(music: MusicWorld) -> None:
    options = SongplaysOptions(
        to="2018-12", months=3, events=6000, songs=150, matching=20, bad_lines=18, duplicates=25
    )
    made = generate(options, music.bucket.store)
    music.settle()
    [(events, plays, matched)] = music.rows(
        "SELECT (SELECT COUNT(*) FROM songplays.staging_events), COUNT(*), COUNT(song_id) FROM songplays.songplays"
    )
    assert (events, plays, matched) == (made.events, made.songplays, made.matched)
    for table, count in (
        ("users", made.users),
        ("songs", made.songs),
        ("artists", made.artists),
        ("time", made.times),
    ):
        assert music.table(table, "COUNT(*)") == [(count,)]
    totals = music.rows("SELECT SUM(rows_rejected), SUM(rows_deduplicated) FROM scx_pipeline.objects")
    assert [(int(bad), int(twice)) for bad, twice in totals] == [(made.bad_lines, made.duplicates)]
    reasons = " ".join(row[0] for row in music.state("rejected_rows", "reason"))
    for told in (
        "is no JSON", "is no object", "half a surrogate pair", "NUL character", "in seconds it would be",
        "is not a number of milliseconds", "is not a text", "'2.5' is not an integer",
    ):  # fmt: skip
        assert told in reasons
