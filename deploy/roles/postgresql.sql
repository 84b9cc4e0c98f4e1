-- Roles for scx_pipeline in the PostgreSQL database dev, as `scx roles` prints them. Run this connected to it, as a
-- superuser or as its owner with CREATEROLE; again after a star was added. Passwords are set apart: \password, or
-- ALTER ROLE … PASSWORD. Tables that another role has loaded so far: REASSIGN OWNED BY that_role TO "scx_loader";

-- The one loads, the other reads. Neither may make databases, roles or schemas.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scx_loader') THEN CREATE ROLE "scx_loader" LOGIN; END IF;
END $$;
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scx_analyst') THEN CREATE ROLE "scx_analyst" LOGIN; END IF;
END $$;
ALTER ROLE "scx_analyst" SET default_transaction_read_only = on;
ALTER ROLE "scx_analyst" SET statement_timeout = '30min';

-- By default everybody may connect, make temporary tables and look into the schema public.
REVOKE ALL ON DATABASE "dev" FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE "dev" TO "scx_loader";
GRANT CONNECT ON DATABASE "dev" TO "scx_analyst";
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- Schemas are made here, so that whoever loads need not be allowed to make any; what it makes in them is its own.
CREATE SCHEMA IF NOT EXISTS "dwh";
CREATE SCHEMA IF NOT EXISTS "songplays";
CREATE SCHEMA IF NOT EXISTS "scx_pipeline";
GRANT USAGE, CREATE ON SCHEMA "dwh", "public", "songplays", "scx_pipeline" TO "scx_loader";

-- The stars' tables, those there are and those to come, are read; scx_pipeline is not, as rejected rows are raw data.
GRANT USAGE ON SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
GRANT SELECT ON ALL TABLES IN SCHEMA "dwh", "public", "songplays" TO "scx_analyst";
-- Who is no superuser sets a role's defaults as a member of it.
GRANT "scx_loader" TO CURRENT_USER;
ALTER DEFAULT PRIVILEGES FOR ROLE "scx_loader" IN SCHEMA "dwh", "public", "songplays"
    GRANT SELECT ON TABLES TO "scx_analyst";
REVOKE "scx_loader" FROM CURRENT_USER;
