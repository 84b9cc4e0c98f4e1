SELECT
    user_id,
    email_encrypted,
    plan_id,
    updated_at,
    job_id,
    created_at
FROM staging_cleansed_logs
