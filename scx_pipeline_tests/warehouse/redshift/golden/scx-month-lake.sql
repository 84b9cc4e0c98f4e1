SET timezone TO 'UTC';
SET query_group TO 'scx_pipeline';
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('lock_scx') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
BEGIN;
SET statement_timeout TO 2000;
LOCK "scx_pipeline"."lock_scx";
SET statement_timeout TO 0;
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('loads', 'months', 'month_rows', 'objects', 'rejected_rows', 'check_results', 'unpartitioned', 'stale_months', 'tables', 'scx__users', 'scx__projects') ORDER BY c.relname, a.attnum;
SELECT c.relname, c.relkind, u.usename, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_user AS u ON u.usesysid = c.relowner LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE n.nspname = 'public' AND c.relname IN ('staging_cleansed_logs', 'users', 'projects', 'time', 'auto_classification_logs') ORDER BY c.relname, a.attnum;
SELECT star, schema_name, table_name, column_list, key_columns, event_time, layout FROM "scx_pipeline"."tables" ORDER BY 1, 2, 3;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'scx';
DELETE FROM "public"."staging_cleansed_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00');
COPY "public"."staging_cleansed_logs" FROM 's3://bucket/staging/scx/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT pg_last_copy_count();
DELETE FROM "public"."time" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00');
CREATE TEMPORARY TABLE _files ("created_at" timestamp without time zone, "hour" integer, "day" integer, "week" integer, "weekday" integer);
COPY _files FROM 's3://bucket/staging/scx/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT pg_last_copy_count();
INSERT INTO "public"."time" ("created_at", "hour", "day", "week", "month", "year", "weekday") SELECT "created_at", "hour", "day", "week", CAST(EXTRACT(MONTH FROM "created_at") AS INTEGER), CAST(EXTRACT(YEAR FROM "created_at") AS INTEGER), "weekday" FROM _files;
DROP TABLE _files;
DELETE FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00');
COPY "public"."auto_classification_logs" FROM 's3://bucket/staging/scx/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT pg_last_copy_count();
CREATE TEMPORARY TABLE _touched_users AS SELECT DISTINCT "user_id" FROM "scx_pipeline"."scx__users" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00');
DELETE FROM "scx_pipeline"."scx__users" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00');
COPY "scx_pipeline"."scx__users" FROM 's3://bucket/staging/scx/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT pg_last_copy_count();
SELECT "_month", "user_id" FROM "scx_pipeline"."scx__users" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00') GROUP BY "_month", "user_id" HAVING COUNT(*) > 1 LIMIT 1;
INSERT INTO _touched_users SELECT DISTINCT "user_id" FROM "scx_pipeline"."scx__users" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00');
CREATE TEMPORARY TABLE _now AS SELECT * FROM (SELECT q.*, ROW_NUMBER() OVER (PARTITION BY "user_id" ORDER BY "updated_at" DESC NULLS LAST, "job_id" DESC NULLS LAST, "email_encrypted" DESC NULLS LAST, "plan_id" DESC NULLS LAST, "created_at" DESC NULLS LAST) AS _n FROM (SELECT * FROM "scx_pipeline"."scx__users" WHERE ("user_id") IN (SELECT "user_id" FROM _touched_users)) AS q) AS numbered WHERE _n = 1;
CREATE TEMPORARY TABLE _stays AS SELECT n."user_id" FROM _now AS n JOIN "public"."users" AS t ON n."user_id" = t."user_id" AND ((n."email_encrypted" = t."email_encrypted" AND LEN(n."email_encrypted") = LEN(t."email_encrypted")) OR (n."email_encrypted" IS NULL AND t."email_encrypted" IS NULL)) AND (n."plan_id" = t."plan_id" OR (n."plan_id" IS NULL AND t."plan_id" IS NULL));
DELETE FROM "public"."users" WHERE ("user_id") IN (SELECT "user_id" FROM _touched_users) AND NOT ("user_id") IN (SELECT "user_id" FROM _stays);
INSERT INTO "public"."users" ("user_id", "email_encrypted", "plan_id") SELECT "user_id", "email_encrypted", "plan_id" FROM (SELECT * FROM _now WHERE NOT ("user_id") IN (SELECT "user_id" FROM _stays)) AS q;
DROP TABLE _stays;
DROP TABLE _now;
CREATE TEMPORARY TABLE _touched_projects AS SELECT DISTINCT "project_id" FROM "scx_pipeline"."scx__projects" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00');
DELETE FROM "scx_pipeline"."scx__projects" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00');
COPY "scx_pipeline"."scx__projects" FROM 's3://bucket/staging/scx/<id>-manifest.json'
IAM_ROLE default
FORMAT AS PARQUET
MANIFEST;
SELECT pg_last_copy_count();
SELECT "_month", "project_id" FROM "scx_pipeline"."scx__projects" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00') GROUP BY "_month", "project_id" HAVING COUNT(*) > 1 LIMIT 1;
INSERT INTO _touched_projects SELECT DISTINCT "project_id" FROM "scx_pipeline"."scx__projects" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00');
CREATE TEMPORARY TABLE _now AS SELECT * FROM (SELECT q.*, ROW_NUMBER() OVER (PARTITION BY "project_id" ORDER BY "updated_at" DESC NULLS LAST, "job_id" DESC NULLS LAST, "project_name" DESC NULLS LAST, "date" DESC NULLS LAST, "summary" DESC NULLS LAST, "created_at" DESC NULLS LAST) AS _n FROM (SELECT * FROM "scx_pipeline"."scx__projects" WHERE ("project_id") IN (SELECT "project_id" FROM _touched_projects)) AS q) AS numbered WHERE _n = 1;
CREATE TEMPORARY TABLE _stays AS SELECT n."project_id" FROM _now AS n JOIN "public"."projects" AS t ON n."project_id" = t."project_id" AND ((n."project_name" = t."project_name" AND LEN(n."project_name") = LEN(t."project_name")) OR (n."project_name" IS NULL AND t."project_name" IS NULL)) AND ((n."date" = t."date" AND LEN(n."date") = LEN(t."date")) OR (n."date" IS NULL AND t."date" IS NULL)) AND ((n."summary" = t."summary" AND LEN(n."summary") = LEN(t."summary")) OR (n."summary" IS NULL AND t."summary" IS NULL));
DELETE FROM "public"."projects" WHERE ("project_id") IN (SELECT "project_id" FROM _touched_projects) AND NOT ("project_id") IN (SELECT "project_id" FROM _stays);
INSERT INTO "public"."projects" ("project_id", "project_name", "date", "summary") SELECT "project_id", "project_name", "date", "summary" FROM (SELECT * FROM _now WHERE NOT ("project_id") IN (SELECT "project_id" FROM _stays)) AS q;
DROP TABLE _stays;
DROP TABLE _now;
SELECT TIMESTAMP '2021-04-01 00:00:00', COUNT(*), COUNT(*) - COUNT("job_id"), COUNT(*) - COUNT("project_id"), COUNT(CASE WHEN "remove_dup" NOT IN (0, 1) THEN 1 END), COUNT(CASE WHEN "airbone_laser" NOT IN (0, 1) THEN 1 END), COUNT(CASE WHEN "ground_grndonly" NOT IN (0, 1) THEN 1 END), COUNT(CASE WHEN "class_grdonly" NOT IN (0, 1) THEN 1 END), COUNT(CASE WHEN "nextcore" NOT IN (0, 1) THEN 1 END), COUNT(CASE WHEN "switch_xy" NOT IN (0, 1) THEN 1 END), COUNT(*) - COUNT("created_at"), COUNT(*) - COUNT("user_id"), COUNT(CASE WHEN "plan_id" < 0 OR "plan_id" > 1000 THEN 1 END) FROM (SELECT * FROM "public"."staging_cleansed_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s GROUP BY 1;
SELECT NULL, COUNT(*), COUNT(*) - COUNT("user_id") FROM (SELECT * FROM "public"."users" WHERE ("user_id") IN (SELECT "user_id" FROM _touched_users)) AS s;
SELECT "_month", COUNT(*) FROM "scx_pipeline"."scx__users" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00') GROUP BY 1;
SELECT NULL, COUNT(*), COUNT(*) - COUNT("project_id") FROM (SELECT * FROM "public"."projects" WHERE ("project_id") IN (SELECT "project_id" FROM _touched_projects)) AS s;
SELECT "_month", COUNT(*) FROM "scx_pipeline"."scx__projects" WHERE ("_month" >= TIMESTAMP '2021-04-01 00:00:00' AND "_month" < TIMESTAMP '2021-05-01 00:00:00') GROUP BY 1;
SELECT TIMESTAMP '2021-04-01 00:00:00', COUNT(*), COUNT(*) - COUNT("created_at"), COUNT(CASE WHEN "hour" < 0 OR "hour" > 23 THEN 1 END), COUNT(CASE WHEN "day" < 1 OR "day" > 31 THEN 1 END), COUNT(CASE WHEN "week" < 1 OR "week" > 53 THEN 1 END), COUNT(CASE WHEN "month" < 1 OR "month" > 12 THEN 1 END), COUNT(CASE WHEN "year" < 2020 OR "year" > 9999 THEN 1 END), COUNT(CASE WHEN "weekday" < 0 OR "weekday" > 6 THEN 1 END) FROM (SELECT * FROM "public"."time" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s GROUP BY 1;
SELECT TIMESTAMP '2021-04-01 00:00:00', COUNT(*), COUNT(*) - COUNT("job_id"), COUNT(*) - COUNT("project_id"), COUNT(*) - COUNT("user_id"), COUNT(*) - COUNT("created_at") FROM (SELECT * FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s GROUP BY 1;
SELECT "job_id" FROM (SELECT * FROM "public"."staging_cleansed_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s GROUP BY "job_id" HAVING COUNT(*) > 1 LIMIT 1;
SELECT s."job_id", s."created_at", o."created_at" FROM (SELECT * FROM "public"."staging_cleansed_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s JOIN "public"."staging_cleansed_logs" AS o ON o."job_id" = s."job_id" WHERE NOT (o."created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND o."created_at" < TIMESTAMP '2021-05-01 00:00:00') LIMIT 5;
SELECT "user_id" FROM (SELECT * FROM "public"."users" WHERE ("user_id") IN (SELECT "user_id" FROM _touched_users)) AS s GROUP BY "user_id" HAVING COUNT(*) > 1 LIMIT 1;
SELECT "project_id" FROM (SELECT * FROM "public"."projects" WHERE ("project_id") IN (SELECT "project_id" FROM _touched_projects)) AS s GROUP BY "project_id" HAVING COUNT(*) > 1 LIMIT 1;
SELECT "created_at" FROM (SELECT * FROM "public"."time" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s GROUP BY "created_at" HAVING COUNT(*) > 1 LIMIT 1;
SELECT "job_id" FROM (SELECT * FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s GROUP BY "job_id" HAVING COUNT(*) > 1 LIMIT 1;
SELECT s."job_id", s."created_at", o."created_at" FROM (SELECT * FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS s JOIN "public"."auto_classification_logs" AS o ON o."job_id" = s."job_id" WHERE NOT (o."created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND o."created_at" < TIMESTAMP '2021-05-01 00:00:00') LIMIT 5;
CREATE TEMPORARY TABLE _values AS SELECT "project_id", COUNT(*) AS _rows FROM (SELECT * FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS a WHERE "project_id" IS NOT NULL GROUP BY "project_id";
SELECT COALESCE(SUM(s._rows), 0) FROM _values AS s LEFT JOIN (SELECT "project_id" FROM "public"."projects") AS t ON t."project_id" = s."project_id" WHERE t."project_id" IS NULL;
DROP TABLE _values;
CREATE TEMPORARY TABLE _values AS SELECT "user_id", COUNT(*) AS _rows FROM (SELECT * FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS a WHERE "user_id" IS NOT NULL GROUP BY "user_id";
SELECT COALESCE(SUM(s._rows), 0) FROM _values AS s LEFT JOIN (SELECT "user_id" FROM "public"."users") AS t ON t."user_id" = s."user_id" WHERE t."user_id" IS NULL;
DROP TABLE _values;
SELECT COALESCE(SUM(s._rows), 0) FROM (SELECT "created_at", 1 AS _rows FROM (SELECT * FROM "public"."auto_classification_logs" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS a WHERE "created_at" IS NOT NULL) AS s LEFT JOIN (SELECT "created_at" FROM "public"."time" WHERE ("created_at" >= TIMESTAMP '2021-04-01 00:00:00' AND "created_at" < TIMESTAMP '2021-05-01 00:00:00')) AS t ON t."created_at" = s."created_at" WHERE t."created_at" IS NULL;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'scx_pipeline' AND c.relname IN ('months') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum;
SELECT month, fingerprint, code_version FROM scx_pipeline.months WHERE star = 'scx';
INSERT INTO "scx_pipeline"."loads" ("load_id", "star", "first_month", "last_month", "run_id", "started_at", "finished_at", "objects", "bytes", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('<id>', 'scx', '2021-04', '2021-04', NULL, '<now>'::timestamp, '<now>'::timestamp, 1, 545, 2, 2, 0, 0, 0);
DELETE FROM "scx_pipeline"."months" WHERE star = 'scx' AND month BETWEEN '2021-04' AND '2021-04';
INSERT INTO "scx_pipeline"."months" ("star", "month", "load_id", "fingerprint", "code_version", "loaded_at") VALUES ('scx', '2021-04', '<id>', '<id>', '<version>', '<now>'::timestamp);
SELECT source, object_key FROM scx_pipeline.objects WHERE star = 'scx';
CREATE TEMPORARY TABLE _gone ("source" character varying(64), "object_key" character varying(1024));
INSERT INTO _gone ("source", "object_key") VALUES ('auto_classify_jobs', 'auto_classify_jobs/2021/04/a.csv');
DELETE FROM "scx_pipeline"."objects" WHERE star = 'scx' AND (source, object_key) IN (SELECT source, object_key FROM _gone);
DELETE FROM "scx_pipeline"."rejected_rows" WHERE star = 'scx' AND (source, object_key) IN (SELECT source, object_key FROM _gone);
DROP TABLE _gone;
INSERT INTO "scx_pipeline"."objects" ("star", "source", "object_key", "etag", "size_bytes", "load_id", "rows_read", "rows_loaded", "rows_rejected", "rows_deduplicated", "rows_filtered") VALUES ('scx', 'auto_classify_jobs', 'auto_classify_jobs/2021/04/a.csv', '"<id>"', 545, '<id>', 2, 2, 0, 0, 0);
DELETE FROM scx_pipeline.month_rows WHERE star = 'scx' AND table_name = 'staging_cleansed_logs' AND month BETWEEN '2021-04' AND '2021-04';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('scx', 'staging_cleansed_logs', '2021-04', 2, '<id>');
DELETE FROM scx_pipeline.month_rows WHERE star = 'scx' AND table_name = 'users' AND month BETWEEN '2021-04' AND '2021-04';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('scx', 'users', '2021-04', 2, '<id>');
DELETE FROM scx_pipeline.month_rows WHERE star = 'scx' AND table_name = 'projects' AND month BETWEEN '2021-04' AND '2021-04';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('scx', 'projects', '2021-04', 1, '<id>');
DELETE FROM scx_pipeline.month_rows WHERE star = 'scx' AND table_name = 'time' AND month BETWEEN '2021-04' AND '2021-04';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('scx', 'time', '2021-04', 2, '<id>');
DELETE FROM scx_pipeline.month_rows WHERE star = 'scx' AND table_name = 'auto_classification_logs' AND month BETWEEN '2021-04' AND '2021-04';
INSERT INTO "scx_pipeline"."month_rows" ("star", "table_name", "month", "row_count", "load_id") VALUES ('scx', 'auto_classification_logs', '2021-04', 2, '<id>');
INSERT INTO "scx_pipeline"."check_results" ("load_id", "star", "table_name", "check_name", "passed", "severity", "message") VALUES ('<id>', 'scx', 'staging_cleansed_logs', 'accounting', true, 'error', '2 rows read: 2 loaded, 0 rejected, 0 deduplicated, 0 of other months'), ('<id>', 'scx', 'staging_cleansed_logs', 'rejected_rows', true, 'warn', '0 of 2 rows were rejected (0.00%)'), ('<id>', 'scx', 'staging_cleansed_logs', 'declared_fields', true, 'warn', 'not looked at: the rows are the lake''s, and its build has looked'), ('<id>', 'scx', 'staging_cleansed_logs', 'not_null_job_id', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'not_null_project_id', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'accepted_remove_dup', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'accepted_airbone_laser', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'accepted_ground_grndonly', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'accepted_class_grdonly', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'accepted_nextcore', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'accepted_switch_xy', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'not_null_created_at', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'not_null_user_id', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'range_plan_id', true, 'error', 'holds'), ('<id>', 'scx', 'users', 'not_null_user_id', true, 'error', 'holds'), ('<id>', 'scx', 'projects', 'not_null_project_id', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'not_null_created_at', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'range_hour', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'range_day', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'range_week', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'range_month', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'range_year', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'range_weekday', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'not_null_job_id', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'not_null_project_id', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'not_null_user_id', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'not_null_created_at', true, 'error', 'holds'), ('<id>', 'scx', 'staging_cleansed_logs', 'row_count', true, 'error', '2 rows'), ('<id>', 'scx', 'staging_cleansed_logs', 'unique_job_id', true, 'error', 'holds'), ('<id>', 'scx', 'users', 'row_count', true, 'error', '2 rows'), ('<id>', 'scx', 'users', 'unique_user_id', true, 'error', 'holds'), ('<id>', 'scx', 'projects', 'row_count', true, 'error', '1 rows'), ('<id>', 'scx', 'projects', 'unique_project_id', true, 'error', 'holds'), ('<id>', 'scx', 'time', 'row_count', true, 'error', '2 rows'), ('<id>', 'scx', 'time', 'unique_created_at', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'row_count', true, 'error', '2 rows'), ('<id>', 'scx', 'auto_classification_logs', 'unique_job_id', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'references_projects', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'references_users', true, 'error', 'holds'), ('<id>', 'scx', 'auto_classification_logs', 'references_time', true, 'error', 'holds');
DELETE FROM "scx_pipeline"."stale_months" WHERE star = 'scx' AND month BETWEEN '2021-04' AND '2021-04';
COMMIT;
