-- A play matches a song by title, artist and length. If several songs share all three, only one of them is
-- used: otherwise the play would be counted more than once.
WITH known AS (
    SELECT
        s.title,
        a.name,
        s.duration,
        MIN(s.song_id) AS song_id
    FROM songs AS s
    INNER JOIN artists AS a ON s.artist_id = a.artist_id
    GROUP BY s.title, a.name, s.duration
)

SELECT
    CAST(e.session_id AS BIGINT) * 100000 + e.item_in_session AS songplay_id,
    e.ts AS start_time,
    e.user_id,
    e.level,
    s.song_id,
    s.artist_id,
    e.session_id,
    e.location,
    e.user_agent
FROM staging_events AS e
LEFT OUTER JOIN known AS k ON e.song = k.title AND e.artist = k.name AND e.length = k.duration
LEFT OUTER JOIN songs AS s ON k.song_id = s.song_id
WHERE e.page = 'NextSong'
