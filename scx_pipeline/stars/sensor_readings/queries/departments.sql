SELECT
    department_name,
    COUNT(*) AS readings,
    COUNT(DISTINCT sensor_serial) AS sensors,
    MIN(product_expire) AS first_expires
FROM data_sample
GROUP BY department_name
ORDER BY readings DESC, department_name
