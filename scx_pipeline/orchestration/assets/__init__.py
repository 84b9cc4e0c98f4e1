"""Dagster assets: sources, staging tables, dimensions, facts, lake tables, reports, and the events they emit.

How a load works is not defined here.
"""
