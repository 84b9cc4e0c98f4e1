SELECT
    t.year * 100 + t.month AS month,
    p.level,
    COUNT(*) AS plays
FROM songplays AS p
INNER JOIN time AS t ON p.start_time = t.start_time
GROUP BY t.year * 100 + t.month, p.level
ORDER BY month, p.level
