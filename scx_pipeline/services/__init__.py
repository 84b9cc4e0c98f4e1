"""The checks of `scx doctor` and of a deployment's services, and the process that supervises a service.

The services themselves are Dagster's.
"""
