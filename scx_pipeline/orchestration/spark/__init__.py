"""Spark jobs through Dagster Pipes, on this machine and on EMR.

What a job does belongs to the lake.
"""
