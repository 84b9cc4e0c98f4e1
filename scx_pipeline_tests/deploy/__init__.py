"""Tests of the deployment: docker-compose.yaml run as local processes, and the files for Kubernetes and ECS."""
