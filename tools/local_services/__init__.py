"""The services of docker-compose.yaml as local processes, without Docker.

`make up` runs it; the deployment tests use it.
"""
