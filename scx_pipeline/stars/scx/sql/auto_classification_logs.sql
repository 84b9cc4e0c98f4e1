SELECT
    job_id,
    project_id,
    user_id,
    ground_profile,
    bt_clss_profile,
    resolution,
    noise_profile,
    noise_type,
    remove_dup,
    airbone_laser,
    class_grdonly,
    nextcore,
    switch_xy,
    created_at,
    upload_time
FROM staging_cleansed_logs
