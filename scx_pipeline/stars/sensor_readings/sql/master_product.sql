SELECT
    product_name,
    create_at
FROM data_sample
