"""Warehouses: a small protocol, and one package per engine that states how it differs.

What is published, and when, is decided by the load; nothing here knows Dagster or the settings.
"""
