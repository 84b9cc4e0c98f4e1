-- Roles for scx_pipeline in the PostgreSQL database dev, as `scx roles` prints them. Run this connected to it, as a
-- superuser or as its owner with CREATEROLE; again after adding a star. Set passwords separately: \password, or
-- ALTER ROLE … PASSWORD. For tables loaded by another role: REASSIGN OWNED BY that_role TO "scx_loader";

-- One role loads, the other reads. Neither may create databases, roles or schemas.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scx_loader') THEN CREATE ROLE "scx_loader" LOGIN; END IF;
END $$;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scx_analyst') THEN CREATE ROLE "scx_analyst" LOGIN; END IF;
END $$;
ALTER ROLE "scx_analyst" SET default_transaction_read_only = on;
ALTER ROLE "scx_analyst" SET statement_timeout = '30min';

-- By default every role may connect, create temporary tables and use the schema public.
REVOKE ALL ON DATABASE "dev" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE "dev" TO "scx_loader";
GRANT CONNECT ON DATABASE "dev" TO "scx_analyst";
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- Schemas are created here, so that the loader needs no right to create any; it owns what it creates in them.
CREATE SCHEMA IF NOT EXISTS "dwh";
CREATE SCHEMA IF NOT EXISTS "songplays";
CREATE SCHEMA IF NOT EXISTS "scx_pipeline";
GRANT USAGE, CREATE ON SCHEMA "dwh", "public", "songplays", "scx_pipeline" TO "scx_loader";

-- Analysts read the stars' tables, existing and future ones, but not scx_pipeline, as rejected rows are raw data.
GRANT USAGE ON SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
GRANT SELECT ON ALL TABLES IN SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
-- Only members of a role may set its defaults, unless they are superusers.
GRANT "scx_loader" TO CURRENT_USER;
ALTER DEFAULT PRIVILEGES FOR ROLE "scx_loader" IN SCHEMA "dwh", "public", "songplays"
    GRANT SELECT ON TABLES TO "scx_analyst";
REVOKE "scx_loader" FROM CURRENT_USER;
