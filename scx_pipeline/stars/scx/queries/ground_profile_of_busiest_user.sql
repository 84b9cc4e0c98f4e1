WITH busiest AS (
    SELECT user_id
    FROM auto_classification_logs
    GROUP BY user_id
    ORDER BY COUNT(*) DESC, user_id
    LIMIT 1
)

SELECT
    l.user_id,
    t.year * 100 + t.month AS month,
    l.ground_profile,
    COUNT(*) AS jobs
FROM auto_classification_logs AS l
INNER JOIN busiest AS b ON l.user_id = b.user_id
INNER JOIN time AS t ON l.created_at = t.created_at
GROUP BY l.user_id, t.year * 100 + t.month, l.ground_profile
ORDER BY month, jobs DESC, l.ground_profile
