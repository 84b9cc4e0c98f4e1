"""A load of a generated bucket of events and songs has the counts that the generator reports."""

from __future__ import annotations

from scx_pipeline.samples.songplays.songplays_bucket import SongplaysOptions, generate
from scx_pipeline_tests.support.music_env import MusicEnv


def test_a_load_of_a_generated_bucket_has_the_generated_counts(music_env: MusicEnv) -> None:
    options = SongplaysOptions(
        to="2018-12", months=3, events=6000, songs=150, matching=20, bad_lines=18, duplicates=25
    )
    built = generate(options, music_env.bucket.store)
    music_env.settle()
    [(events, plays, matched)] = music_env.rows(
        "SELECT (SELECT COUNT(*) FROM songplays.staging_events), COUNT(*), COUNT(song_id) FROM songplays.songplays"
    )
    assert (events, plays, matched) == (built.events, built.songplays, built.matched)
    for table, count in (
        ("users", built.users),
        ("songs", built.songs),
        ("artists", built.artists),
        ("time", built.times),
    ):
        assert music_env.table(table, "COUNT(*)") == [(count,)]
    totals = music_env.rows("SELECT SUM(rows_rejected), SUM(rows_deduplicated) FROM scx_pipeline.objects")
    assert [(int(bad), int(twice)) for bad, twice in totals] == [(built.bad_lines, built.duplicates)]
    reasons = " ".join(row[0] for row in music_env.state("rejected_rows", "reason"))
    for reason in (
        "is not JSON", "is not an object", "half a surrogate pair", "NUL character", "in seconds it would be",
        "is not a number of milliseconds", "is not a text", "'2.5' is not an integer",
    ):  # fmt: skip
        assert reason in reasons
