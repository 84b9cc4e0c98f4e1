SELECT
    project_id,
    project_name,
    date,
    summary,
    updated_at,
    job_id,
    created_at
FROM staging_cleansed_logs
