# shellcheck shell=sh
# Sets up `scx` commands in this terminal for the services of `make up` or `docker compose up`: source deploy/local.sh
# Run it in the project's folder, which has .env. It sets the variables of docker-compose.yaml, with this machine's ports.
if [ ! -f .env ] || [ ! -f deploy/dagster/dagster.yaml ]; then
    echo "error: source deploy/local.sh in the project's folder, which has .env" >&2
    return 1
fi
while IFS='=' read -r name value; do # not `. ./.env`: URLs contain &
    case $name in '' | '#'*) ;; *) export "$name=$value" ;; esac
done <.env
export AWS_ENDPOINT_URL="http://127.0.0.1:${SCX_S3_PORT:-8333}"
export AWS_ACCESS_KEY_ID="$S3_ACCESS_KEY" AWS_SECRET_ACCESS_KEY="$S3_SECRET_KEY"
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export SCX_BUCKET_URL=s3://scx-raw SCX_LAKE_URL=s3://scx-lake/stars
export SCX_WAREHOUSE_URL="postgresql://scx_loader:$SCX_LOADER_PASSWORD@127.0.0.1:${SCX_POSTGRES_PORT:-5432}/dev"
export SCX_UI_URL="http://127.0.0.1:${SCX_UI_PORT:-3000}"
export DAGSTER_POSTGRES_HOST=127.0.0.1 DAGSTER_POSTGRES_PORT="${SCX_POSTGRES_PORT:-5432}"
export DAGSTER_POSTGRES_USER=dagster DAGSTER_POSTGRES_DB=dagster DAGSTER_LOGS_BUCKET=scx-dagster-logs
export DAGSTER_POSTGRES_PASSWORD
export SCX_HOME="$PWD/.scx/local" DAGSTER_HOME="$PWD/.scx/local/dagster"
(umask 077 && mkdir -p "$DAGSTER_HOME") && cp deploy/dagster/dagster.yaml "$DAGSTER_HOME/dagster.yaml"
export PATH="$PWD/.venv/bin:$PATH"
