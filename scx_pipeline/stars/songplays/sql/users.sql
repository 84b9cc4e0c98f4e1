SELECT
    user_id,
    first_name,
    last_name,
    gender,
    level,
    ts,
    session_id,
    item_in_session
FROM staging_events
WHERE page = 'NextSong' AND user_id IS NOT NULL
