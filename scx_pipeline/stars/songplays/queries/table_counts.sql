SELECT
    'staging_events' AS table_name,
    COUNT(*) AS table_rows
FROM staging_events
UNION ALL
SELECT
    'staging_songs' AS table_name,
    COUNT(*) AS table_rows
FROM staging_songs
UNION ALL
SELECT
    'songplays' AS table_name,
    COUNT(*) AS table_rows
FROM songplays
UNION ALL
SELECT
    'users' AS table_name,
    COUNT(*) AS table_rows
FROM users
UNION ALL
SELECT
    'songs' AS table_name,
    COUNT(*) AS table_rows
FROM songs
UNION ALL
SELECT
    'artists' AS table_name,
    COUNT(*) AS table_rows
FROM artists
UNION ALL
SELECT
    'time' AS table_name,
    COUNT(*) AS table_rows
FROM time
