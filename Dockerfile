# One image for the code server, the UI and the daemon (`scx serve …`), and for runs: see docker-compose.yaml.
# Versions are exact: the base image's here, every package's in deploy/requirements.lock, with its hashes.

FROM python:3.11.14-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/scx/venv
# Packages first: they change less often than the code, and stay in Docker's cache.
COPY deploy/requirements.lock ./
RUN /opt/scx/venv/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY scx_pipeline ./scx_pipeline
RUN /opt/scx/venv/bin/pip install --no-deps --no-build-isolation . \
    && /opt/scx/venv/bin/python -m compileall -q /opt/scx/venv

FROM python:3.11.14-slim-trixie

# The code is read-only: root owns it, and uid 10001 runs it. Only /tmp and /var/lib/scx are written to.
RUN groupadd --gid 10001 scx \
    && useradd --uid 10001 --gid scx --no-create-home --home-dir /var/lib/scx --shell /usr/sbin/nologin scx \
    && install --directory --owner=scx --group=scx --mode=0750 /var/lib/scx
COPY --from=build /opt/scx/venv /opt/scx/venv
COPY deploy/dagster/dagster.yaml /opt/scx/dagster/dagster.yaml
COPY deploy/dagster/workspace.yaml /opt/scx/workspace.yaml
ENV PATH=/opt/scx/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/scx/dagster \
    SCX_HOME=/var/lib/scx \
    TMPDIR=/var/lib/scx \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /var/lib/scx
USER 10001:10001
# On Fargate, root owns a volume unless the image declares it: then it has the owner of the folder here.
VOLUME ["/tmp", "/var/lib/scx"]
# A deployment names the command: `scx serve code`, `scx serve webserver`, `scx serve daemon`, or any other. No ENTRYPOINT:
# Dagster's Helm chart and its launcher for Kubernetes pass only arguments to a container, which begin with `dagster`.
CMD ["scx", "--help"]
