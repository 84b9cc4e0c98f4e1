"""The stars: a folder each, with defs.yaml, one SQL file per derived table, queries, cases and a README.
No Python lives here: a star is declared."""
