"""The stars: one folder each, with defs.yaml, a SQL file per derived table, queries, cases and a README.

Python does not belong here: stars are declared.
"""
