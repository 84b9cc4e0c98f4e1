SELECT
    e.song,
    e.artist,
    COUNT(*) AS plays,
    COUNT(p.song_id) AS plays_of_known_song
FROM staging_events AS e
INNER JOIN songplays AS p ON CAST(e.session_id AS BIGINT) * 100000 + e.item_in_session = p.songplay_id
GROUP BY e.song, e.artist
ORDER BY plays DESC, e.song, e.artist
LIMIT 20
