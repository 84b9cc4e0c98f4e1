-- Users for scx_pipeline in the Amazon Redshift database dev, as `scx roles` prints them. Run this connected to it, as a
-- superuser; again after adding a star, when CREATE USER fails, as it has no IF NOT EXISTS: continue after it. Log in by
-- IAM, or set passwords separately: ALTER USER … PASSWORD. For an IAM user: scx roles --loader IAMR:loader

-- One user loads, the other reads. Neither may create databases, users or schemas.
CREATE USER "scx_loader" PASSWORD DISABLE;
CREATE USER "scx_analyst" PASSWORD DISABLE;
ALTER USER "scx_analyst" SET statement_timeout TO 1800000;

-- By default every user may create temporary tables, and tables in the schema public.
REVOKE TEMP ON DATABASE "dev" FROM PUBLIC;
GRANT TEMP ON DATABASE "dev" TO "scx_loader";
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- Schemas are created here, so that the loader needs no right to create any; it owns what it creates in them.
CREATE SCHEMA IF NOT EXISTS "dwh";
CREATE SCHEMA IF NOT EXISTS "songplays";
CREATE SCHEMA IF NOT EXISTS "scx_pipeline";
GRANT USAGE, CREATE ON SCHEMA "dwh", "public", "songplays", "scx_pipeline" TO "scx_loader";

-- Analysts read the stars' tables, existing and future ones, but not scx_pipeline, as rejected rows are raw data.
GRANT USAGE ON SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
GRANT SELECT ON ALL TABLES IN SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
ALTER DEFAULT PRIVILEGES FOR USER "scx_loader" IN SCHEMA "dwh", "public", "songplays" GRANT SELECT ON TABLES TO "scx_analyst";

-- If ASSUMEROLE is restricted, for COPY and UNLOAD by the cluster's default role:
-- GRANT ASSUMEROLE ON DEFAULT TO "scx_loader" FOR COPY, UNLOAD;
-- `scx maintain` bases its advice on this view.
GRANT SELECT ON svv_table_info TO "scx_loader";
