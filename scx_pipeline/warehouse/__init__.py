"""The warehouses: a small protocol, and one file per engine that states how it differs.
What is published, and when, is decided in the engine package; nothing here knows Dagster or the settings."""
