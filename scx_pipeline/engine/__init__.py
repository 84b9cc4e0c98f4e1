"""The road of a row: objects → select → load → publish → history → report, and the star's declaration and SQL.
No Dagster, no settings and no engine's own SQL dialect live here."""
