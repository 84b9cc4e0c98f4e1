"""Tests of Redshift: of the strict stand-in itself, and of what the pipeline does on it.
The stand-in is in standin/; tests that run on every engine are in pipeline/."""
