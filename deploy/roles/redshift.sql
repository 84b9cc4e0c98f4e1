-- Users for scx_pipeline in the Amazon Redshift database dev, as `scx roles` prints them. Run this connected to it, as a
-- superuser; again after a star was added, where CREATE USER fails, as it has no IF NOT EXISTS: go on after it. Log in by
-- IAM, or set passwords apart: ALTER USER … PASSWORD. A user of IAM's own is named so: scx roles --loader IAMR:loader

-- The one loads, the other reads. Neither may make databases, users or schemas.
CREATE USER "scx_loader" PASSWORD DISABLE;
CREATE USER "scx_analyst" PASSWORD DISABLE;
ALTER USER "scx_analyst" SET statement_timeout TO 1800000;

-- By default everybody may make temporary tables, and tables in the schema public.
REVOKE TEMP ON DATABASE "dev" FROM PUBLIC;
GRANT TEMP ON DATABASE "dev" TO "scx_loader";
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- Schemas are made here, so that whoever loads need not be allowed to make any; what it makes in them is its own.
CREATE SCHEMA IF NOT EXISTS "dwh";
CREATE SCHEMA IF NOT EXISTS "songplays";
CREATE SCHEMA IF NOT EXISTS "scx_pipeline";
GRANT USAGE, CREATE ON SCHEMA "dwh", "public", "songplays", "scx_pipeline" TO "scx_loader";

-- The stars' tables, those there are and those to come, are read; scx_pipeline is not, as rejected rows are raw data.
GRANT USAGE ON SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
GRANT SELECT ON ALL TABLES IN SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
ALTER DEFAULT PRIVILEGES FOR USER "scx_loader" IN SCHEMA "dwh", "public", "songplays" GRANT SELECT ON TABLES TO "scx_analyst";

-- Where ASSUMEROLE is controlled, for COPY and UNLOAD by the cluster's default role:
-- GRANT ASSUMEROLE ON DEFAULT TO "scx_loader" FOR COPY, UNLOAD;
-- What `scx maintain` gives its advice by.
GRANT SELECT ON svv_table_info TO "scx_loader";
