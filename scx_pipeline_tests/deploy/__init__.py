"""The deployment: docker-compose.yaml run as processes of this machine, and what is written for Kubernetes and ECS.
What the services do inside is tested in the other folders."""
