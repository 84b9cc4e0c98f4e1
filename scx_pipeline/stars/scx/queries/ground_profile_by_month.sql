SELECT
    t.year * 100 + t.month AS month,
    l.ground_profile,
    COUNT(*) AS jobs
FROM auto_classification_logs AS l
INNER JOIN time AS t ON l.created_at = t.created_at
GROUP BY t.year * 100 + t.month, l.ground_profile
ORDER BY month, jobs DESC, l.ground_profile
