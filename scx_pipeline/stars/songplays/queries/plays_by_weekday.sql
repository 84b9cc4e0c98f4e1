SELECT
    t.weekday,
    p.level,
    COUNT(*) AS plays
FROM songplays AS p
INNER JOIN time AS t ON p.start_time = t.start_time
GROUP BY t.weekday, p.level
ORDER BY t.weekday, p.level
