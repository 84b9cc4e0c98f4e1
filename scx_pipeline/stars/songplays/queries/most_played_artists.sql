SELECT
    artist,
    COUNT(*) AS plays
FROM staging_events
WHERE page = 'NextSong'
GROUP BY artist
ORDER BY plays DESC, artist
LIMIT 20
