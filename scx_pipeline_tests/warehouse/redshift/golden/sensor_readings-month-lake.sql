SET timezone TO 'UTC';
SET query_group TO 'scx_pipeline';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('lock_sensor_readings') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
BEGIN;
SET statement_timeout TO 2000;
LOCK "scx_pipeline"."lock_sensor_readings";
SET statement_timeout TO 0;
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('loads', 'months', 'month_rows', 'objects', 'rejected_rows', 'check_results', 'unpartitioned', 'stale_months', 'tables') ORDER BY c.relname, a.attnum;
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'dwh' AND c.relname IN ('data_sample') ORDER BY c.relname, a.attnum;
SELECT star, schema_name, table_name, column_list, key_columns, event_time, layout FROM "scx_pipeline"."tables" ORDER BY 1, 2, 3;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'sensor_readings';
DELETE FROM "dwh"."data_sample" WHERE ("create_at" >= TIMESTAMP '2023-01-01 00:00:00' AND "create_at" < TIMESTAMP '2023-02-01 00:00:00');
COPY "dwh"."data_sample" FROM 's3://bucket/staging/sensor_readings/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT pg_last_copy_count();
SELECT TIMESTAMP '2023-01-01 00:00:00', COUNT(*), COUNT(*) - COUNT("department_name"), COUNT(*) - COUNT("sensor_serial"), COUNT(*) - COUNT("create_at"), COUNT(*) - COUNT("product_name"), COUNT(*) - COUNT("product_expire"), COUNT(CASE WHEN "product_expire" < "create_at" + INTERVAL '87 days' OR "product_expire" > "create_at" + INTERVAL '89 days' THEN 1 END) FROM (SELECT * FROM "dwh"."data_sample" WHERE ("create_at" >= TIMESTAMP '2023-01-01 00:00:00' AND "create_at" < TIMESTAMP '2023-02-01 00:00:00')) AS s GROUP BY 1;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'sensor_readings';
INSERT INTO "scx_pipeline"."loads" ("load_id", "star", "first_month", "last_month", "run_id", "started_at", "finished_at", "objects", "bytes", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('<id>', 'sensor_readings', '2023-01', '2023-01', NULL, '<now>'::timestamp, '<now>'::timestamp, 1, 1572, 2, 2, 0, 0, 0);
DELETE FROM "scx_pipeline"."months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."months" ("star", "month", "load_id", "fingerprint", "code_version", "loaded_at") VALUES ('sensor_readings', '2023-01', '<id>', '<id>', '<version>', '<now>'::timestamp);
SELECT source, object_key FROM scx_pipeline.objects WHERE star = 'sensor_readings';
CREATE TEMPORARY TABLE _gone ("source" character varying(64), "object_key" character varying(1024));
INSERT INTO _gone ("source", "object_key") VALUES ('readings', 'data_sample/2023-01-05 10:00:00.parquet');
DELETE FROM "scx_pipeline"."objects" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _gone);
DELETE FROM "scx_pipeline"."rejected_rows" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _gone);
DROP TABLE _gone;
INSERT INTO "scx_pipeline"."objects" ("star", "source", "object_key", "etag", "size_bytes", "load_id", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('sensor_readings', 'readings', 'data_sample/2023-01-05 10:00:00.parquet', '"<id>"', 1572, '<id>', 2, 2, 0, 0, 0);
DELETE FROM scx_pipeline.month_rows WHERE star = 'sensor_readings' AND table_name = 'data_sample' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('sensor_readings', 'data_sample', '2023-01', 2, '<id>');
INSERT INTO "scx_pipeline"."check_results" ("load_id", "star", "table_name", "check_name", "passed", "severity", "message") VALUES ('<id>', 'sensor_readings', 'data_sample', 'accounting', true, 'error', '2 rows read: 2 loaded, 0 rejected, 0 deduplicated, 0 of other months'), ('<id>', 'sensor_readings', 'data_sample', 'rejected_rows', true, 'warn', '0 of 2 rows were rejected (0.00%)'), ('<id>', 'sensor_readings', 'data_sample', 'declared_fields', true, 'warn', 'not looked at: the rows are the lake''s, and its build has looked'), ('<id>', 'sensor_readings', 'data_sample', 'rows_per_file', false, 'warn', 'data_sample/2023-01-05 10:00:00.parquet has 2 rows; 1,914 are usual'), ('<id>', 'sensor_readings', 'data_sample', 'files_per_day', false, 'warn', '2023-01-05 has 1 files; 1,440 are usual'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_department_name', true, 'error', 'holds'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_sensor_serial', true, 'error', 'holds'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_create_at', true, 'error', 'holds'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_name', true, 'error', 'holds'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_expire', true, 'error', 'holds'), ('<id>', 'sensor_readings', 'data_sample', 'days_after_product_expire', true, 'error', 'holds'), ('<id>', 'sensor_readings', 'data_sample', 'row_count', true, 'error', '2 rows');
DELETE FROM "scx_pipeline"."stale_months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
COMMIT;
