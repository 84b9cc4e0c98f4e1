SELECT
    created_at,
    EXTRACT(HOUR FROM created_at) AS hour,
    EXTRACT(DAY FROM created_at) AS day,
    EXTRACT(WEEK FROM created_at) AS week,
    EXTRACT(MONTH FROM created_at) AS month,
    EXTRACT(YEAR FROM created_at) AS year,
    EXTRACT(DOW FROM created_at) AS weekday
FROM (SELECT DISTINCT created_at FROM staging_cleansed_logs) AS moments
