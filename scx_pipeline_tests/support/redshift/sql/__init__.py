"""Redshift's SQL in the stand-in: what it accepts is translated for PostgreSQL, and everything else is rejected.

COPY and UNLOAD do not belong here.
"""
