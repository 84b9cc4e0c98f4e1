SELECT
    CAST(DATE_TRUNC('day', create_at) AS DATE) AS day,
    COUNT(*) AS readings,
    COUNT(DISTINCT sensor_serial) AS sensors,
    COUNT(DISTINCT product_name) AS products
FROM data_sample
GROUP BY CAST(DATE_TRUNC('day', create_at) AS DATE)
ORDER BY day
