-- ===== month =====
SET timezone TO 'UTC';
SET query_group TO 'scx_pipeline';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('lock_sensor_readings') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
BEGIN;
SET statement_timeout TO 2000;
LOCK "scx_pipeline"."lock_sensor_readings";
SET statement_timeout TO 0;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('held_months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version, reason, conflicts FROM scx_pipeline.held_months WHERE star = 'sensor_readings';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'sensor_readings';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('stale_months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, reason, load_id FROM scx_pipeline.stale_months WHERE star = 'sensor_readings';
SELECT source, object_key, etag, size_bytes, rows_read, rows_rejected FROM scx_pipeline.objects WHERE star = 'sensor_readings';
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('loads', 'months', 'month_rows', 'objects', 'rejected_rows', 'check_results', 'unpartitioned', 'stale_months', 'held_months', 'held_rejected_rows', 'tables') ORDER BY c.relname, a.attnum;
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
INSERT INTO "scx_pipeline"."loads" ("load_id", "star", "first_month", "last_month", "run_id", "started_at", "finished_at", "objects", "bytes", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('<id>', 'sensor_readings', '2023-01', '2023-01', NULL, '<now>'::timestamp, '<now>'::timestamp, 1, 1572, 2, 2, 0, 0, 0);
DELETE FROM "scx_pipeline"."months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."months" ("star", "month", "load_id", "fingerprint", "code_version", "loaded_at") VALUES ('sensor_readings', '2023-01', '<id>', '<id>', '<version>', '<now>'::timestamp);
SELECT source, object_key FROM scx_pipeline.objects WHERE star = 'sensor_readings';
CREATE TEMPORARY TABLE _removed ("source" character varying(64), "object_key" character varying(1024));
INSERT INTO _removed ("source", "object_key") VALUES ('readings', 'data_sample/2023-01-05 10:00:00.parquet');
DELETE FROM "scx_pipeline"."objects" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _removed);
DELETE FROM "scx_pipeline"."rejected_rows" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _removed);
DROP TABLE _removed;
INSERT INTO "scx_pipeline"."objects" ("star", "source", "object_key", "etag", "size_bytes", "load_id", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('sensor_readings', 'readings', 'data_sample/2023-01-05 10:00:00.parquet', '<etag>', 1572, '<id>', 2, 2, 0, 0, 0);
DELETE FROM "scx_pipeline"."month_rows" WHERE star = 'sensor_readings' AND table_name = 'data_sample' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('sensor_readings', 'data_sample', '2023-01', 2, '<id>');
INSERT INTO "scx_pipeline"."check_results" ("load_id", "star", "table_name", "check_name", "passed", "severity", "message") VALUES ('<id>', 'sensor_readings', 'data_sample', 'row_reconciliation', true, 'error', '2 rows read: 2 loaded, 0 rejected, 0 deduplicated, 0 filtered'), ('<id>', 'sensor_readings', 'data_sample', 'rejected_rows', true, 'error', '0 of 2 rows were rejected (0.00%)'), ('<id>', 'sensor_readings', 'data_sample', 'declared_fields', true, 'warn', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'rows_per_file', false, 'warn', 'data_sample/2023-01-05 10:00:00.parquet has 2 rows; expected 1,914'), ('<id>', 'sensor_readings', 'data_sample', 'files_per_day', false, 'warn', '2023-01-05 has 1 files; expected 1,440'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_department_name', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_sensor_serial', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_create_at', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_name', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_expire', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'days_after_product_expire', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'row_count', true, 'error', '2 rows');
DELETE FROM "scx_pipeline"."stale_months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
COMMIT;

-- ===== month read by the cluster =====
SET timezone TO 'UTC';
SET query_group TO 'scx_pipeline';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('lock_sensor_readings') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
BEGIN;
SET statement_timeout TO 2000;
LOCK "scx_pipeline"."lock_sensor_readings";
SET statement_timeout TO 0;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('held_months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version, reason, conflicts FROM scx_pipeline.held_months WHERE star = 'sensor_readings';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'sensor_readings';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('stale_months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, reason, load_id FROM scx_pipeline.stale_months WHERE star = 'sensor_readings';
SELECT source, object_key, etag, size_bytes, rows_read, rows_rejected FROM scx_pipeline.objects WHERE star = 'sensor_readings';
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('loads', 'months', 'month_rows', 'objects', 'rejected_rows', 'check_results', 'unpartitioned', 'stale_months', 'held_months', 'held_rejected_rows', 'tables') ORDER BY c.relname, a.attnum;
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'dwh' AND c.relname IN ('data_sample') ORDER BY c.relname, a.attnum;
SELECT star, schema_name, table_name, column_list, key_columns, event_time, layout FROM "scx_pipeline"."tables" ORDER BY 1, 2, 3;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'sensor_readings';
SELECT object_key, etag FROM scx_pipeline.objects WHERE star = 'sensor_readings' AND source = 'readings' AND rows_rejected > 0;
DROP TABLE IF EXISTS "_texts_data_sample";
CREATE TEMPORARY TABLE "_texts_data_sample" ("department_name" VARCHAR(65535), "sensor_serial" VARCHAR(65535), "create_at" timestamp without time zone, "product_name" VARCHAR(65535), "product_expire" timestamp without time zone);
COPY "_texts_data_sample" ("department_name", "sensor_serial", "create_at", "product_name", "product_expire") FROM 's3://bucket/staging/sensor_readings/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT COUNT(*), SUM(CASE WHEN "_scx_needs_client_parsing" THEN 1 ELSE 0 END), SUM(CASE WHEN ("create_at" >= TIMESTAMP '2023-01-01 00:00:00' AND "create_at" < TIMESTAMP '2023-02-01 00:00:00') THEN 1 ELSE 0 END), MIN(CASE WHEN NOT "_scx_needs_client_parsing" THEN "create_at" END), MAX(CASE WHEN NOT "_scx_needs_client_parsing" THEN "create_at" END) FROM (SELECT "department_name", "sensor_serial", "create_at", "product_name", "product_expire", CASE WHEN NOT (("department_name" IS NULL OR OCTET_LENGTH("department_name") > 32) OR ("sensor_serial" IS NULL OR OCTET_LENGTH("sensor_serial") > 64) OR ("create_at" IS NULL OR NOT "create_at" BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP)) OR ("product_name" IS NULL OR OCTET_LENGTH("product_name") > 16) OR ("product_expire" IS NULL OR NOT "product_expire" BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP))) THEN FALSE ELSE TRUE END AS "_scx_needs_client_parsing" FROM "_texts_data_sample") AS q;
SELECT pg_last_copy_id(), pg_last_copy_count();
SELECT TRIM(file_name), SUM(lines_scanned), MAX(TRIM(file_etag)) FROM sys_load_detail WHERE query_id = <query> GROUP BY 1;
CREATE TEMPORARY TABLE "_staged_data_sample" ("department_name" character varying(32), "sensor_serial" character varying(64), "create_at" timestamp without time zone, "product_name" character varying(16), "product_expire" timestamp without time zone, "_object" integer);
INSERT INTO "_staged_data_sample" ("department_name", "sensor_serial", "create_at", "product_name", "product_expire", "_object") SELECT "department_name", "sensor_serial", "create_at", "product_name", "product_expire", 0 FROM (SELECT "department_name", "sensor_serial", "create_at", "product_name", "product_expire", CASE WHEN NOT (("department_name" IS NULL OR OCTET_LENGTH("department_name") > 32) OR ("sensor_serial" IS NULL OR OCTET_LENGTH("sensor_serial") > 64) OR ("create_at" IS NULL OR NOT "create_at" BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP)) OR ("product_name" IS NULL OR OCTET_LENGTH("product_name") > 16) OR ("product_expire" IS NULL OR NOT "product_expire" BETWEEN CAST('1000-01-01' AS TIMESTAMP) AND CAST('9999-12-31 23:59:59.999999' AS TIMESTAMP))) THEN FALSE ELSE TRUE END AS "_scx_needs_client_parsing" FROM "_texts_data_sample") AS q;
DELETE FROM "dwh"."data_sample" WHERE ("create_at" >= TIMESTAMP '2023-01-01 00:00:00' AND "create_at" < TIMESTAMP '2023-02-01 00:00:00');
INSERT INTO "dwh"."data_sample" ("department_name", "sensor_serial", "create_at", "product_name", "product_expire") SELECT "department_name", "sensor_serial", "create_at", "product_name", "product_expire" FROM (SELECT "department_name", "sensor_serial", "create_at", "product_name", "product_expire" FROM "_staged_data_sample" WHERE ("create_at" >= TIMESTAMP '2023-01-01 00:00:00' AND "create_at" < TIMESTAMP '2023-02-01 00:00:00')) AS q;
DROP TABLE "_staged_data_sample";
SELECT TIMESTAMP '2023-01-01 00:00:00', COUNT(*), COUNT(*) - COUNT("department_name"), COUNT(*) - COUNT("sensor_serial"), COUNT(*) - COUNT("create_at"), COUNT(*) - COUNT("product_name"), COUNT(*) - COUNT("product_expire"), COUNT(CASE WHEN "product_expire" < "create_at" + INTERVAL '87 days' OR "product_expire" > "create_at" + INTERVAL '89 days' THEN 1 END) FROM (SELECT * FROM "dwh"."data_sample" WHERE ("create_at" >= TIMESTAMP '2023-01-01 00:00:00' AND "create_at" < TIMESTAMP '2023-02-01 00:00:00')) AS s GROUP BY 1;
INSERT INTO "scx_pipeline"."loads" ("load_id", "star", "first_month", "last_month", "run_id", "started_at", "finished_at", "objects", "bytes", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('<id>', 'sensor_readings', '2023-01', '2023-01', NULL, '<now>'::timestamp, '<now>'::timestamp, 2, 3232, 4, 4, 0, 0, 0);
DELETE FROM "scx_pipeline"."months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."months" ("star", "month", "load_id", "fingerprint", "code_version", "loaded_at") VALUES ('sensor_readings', '2023-01', '<id>', '<id>', '<version>', '<now>'::timestamp);
SELECT source, object_key FROM scx_pipeline.objects WHERE star = 'sensor_readings';
CREATE TEMPORARY TABLE _removed ("source" character varying(64), "object_key" character varying(1024));
INSERT INTO _removed ("source", "object_key") VALUES ('readings', 'data_sample/2023-01-05 10:00:00.parquet'), ('readings', 'data_sample/2023-01-05 10:01:00.parquet');
DELETE FROM "scx_pipeline"."objects" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _removed);
DELETE FROM "scx_pipeline"."rejected_rows" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _removed);
DROP TABLE _removed;
INSERT INTO "scx_pipeline"."objects" ("star", "source", "object_key", "etag", "size_bytes", "load_id", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('sensor_readings', 'readings', 'data_sample/2023-01-05 10:00:00.parquet', '"<id>"', 1616, '<id>', 2, 2, 0, 0, 0), ('sensor_readings', 'readings', 'data_sample/2023-01-05 10:01:00.parquet', '"<id>"', 1616, '<id>', 2, 2, 0, 0, 0);
DELETE FROM "scx_pipeline"."month_rows" WHERE star = 'sensor_readings' AND table_name = 'data_sample' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('sensor_readings', 'data_sample', '2023-01', 4, '<id>');
INSERT INTO "scx_pipeline"."check_results" ("load_id", "star", "table_name", "check_name", "passed", "severity", "message") VALUES ('<id>', 'sensor_readings', 'data_sample', 'row_reconciliation', true, 'error', '4 rows read: 4 loaded, 0 rejected, 0 deduplicated, 0 filtered'), ('<id>', 'sensor_readings', 'data_sample', 'rejected_rows', true, 'error', '0 of 4 rows were rejected (0.00%)'), ('<id>', 'sensor_readings', 'data_sample', 'declared_fields', true, 'warn', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'rows_per_file', false, 'warn', 'data_sample/2023-01-05 10:00:00.parquet has 2 rows, data_sample/2023-01-05 10:01:00.parquet has 2 rows; expected 1,914'), ('<id>', 'sensor_readings', 'data_sample', 'files_per_day', false, 'warn', '2023-01-05 has 2 files; expected 1,440'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_department_name', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_sensor_serial', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_create_at', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_name', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_expire', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'days_after_product_expire', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'row_count', true, 'error', '4 rows');
DELETE FROM "scx_pipeline"."stale_months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
COMMIT;

-- ===== month from the lake =====
SET timezone TO 'UTC';
SET query_group TO 'scx_pipeline';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('lock_sensor_readings') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
BEGIN;
SET statement_timeout TO 2000;
LOCK "scx_pipeline"."lock_sensor_readings";
SET statement_timeout TO 0;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('held_months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version, reason, conflicts FROM scx_pipeline.held_months WHERE star = 'sensor_readings';
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('loads', 'months', 'month_rows', 'objects', 'rejected_rows', 'check_results', 'unpartitioned', 'stale_months', 'held_months', 'held_rejected_rows', 'tables') ORDER BY c.relname, a.attnum;
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
CREATE TEMPORARY TABLE _removed ("source" character varying(64), "object_key" character varying(1024));
INSERT INTO _removed ("source", "object_key") VALUES ('readings', 'data_sample/2023-01-05 10:00:00.parquet');
DELETE FROM "scx_pipeline"."objects" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _removed);
DELETE FROM "scx_pipeline"."rejected_rows" WHERE star = 'sensor_readings' AND (source, object_key) IN (SELECT source, object_key FROM _removed);
DROP TABLE _removed;
INSERT INTO "scx_pipeline"."objects" ("star", "source", "object_key", "etag", "size_bytes", "load_id", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('sensor_readings', 'readings', 'data_sample/2023-01-05 10:00:00.parquet', '"<id>"', 1572, '<id>', 2, 2, 0, 0, 0);
DELETE FROM "scx_pipeline"."month_rows" WHERE star = 'sensor_readings' AND table_name = 'data_sample' AND month BETWEEN '2023-01' AND '2023-01';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('sensor_readings', 'data_sample', '2023-01', 2, '<id>');
INSERT INTO "scx_pipeline"."check_results" ("load_id", "star", "table_name", "check_name", "passed", "severity", "message") VALUES ('<id>', 'sensor_readings', 'data_sample', 'row_reconciliation', true, 'error', '2 rows read: 2 loaded, 0 rejected, 0 deduplicated, 0 filtered'), ('<id>', 'sensor_readings', 'data_sample', 'rejected_rows', true, 'error', '0 of 2 rows were rejected (0.00%)'), ('<id>', 'sensor_readings', 'data_sample', 'declared_fields', true, 'warn', 'not checked: the rows come from the lake, whose build has checked them'), ('<id>', 'sensor_readings', 'data_sample', 'rows_per_file', false, 'warn', 'data_sample/2023-01-05 10:00:00.parquet has 2 rows; expected 1,914'), ('<id>', 'sensor_readings', 'data_sample', 'files_per_day', false, 'warn', '2023-01-05 has 1 files; expected 1,440'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_department_name', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_sensor_serial', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_create_at', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_name', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'not_null_product_expire', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'days_after_product_expire', true, 'error', 'passed'), ('<id>', 'sensor_readings', 'data_sample', 'row_count', true, 'error', '2 rows');
DELETE FROM "scx_pipeline"."stale_months" WHERE star = 'sensor_readings' AND month BETWEEN '2023-01' AND '2023-01';
COMMIT;
