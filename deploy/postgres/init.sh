#!/bin/sh
# PostgreSQL's image runs this once, when its volume is empty. It creates the databases `dev` (the warehouse) and `dagster`, and their
# roles. Passwords are read from the environment and never appear on a command line.
set -eu

run() {
    psql --set ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

run --file "${SCX_ROLES_SQL:-/opt/scx/roles.sql}"
run <<'SQL'
\getenv loader SCX_LOADER_PASSWORD
\getenv analyst SCX_ANALYST_PASSWORD
\getenv dagster DAGSTER_POSTGRES_PASSWORD
ALTER ROLE scx_loader PASSWORD :'loader';
ALTER ROLE scx_analyst PASSWORD :'analyst';
CREATE ROLE dagster LOGIN PASSWORD :'dagster';
CREATE DATABASE dagster OWNER dagster;
REVOKE ALL ON DATABASE dagster FROM PUBLIC;
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
SQL
