"""Dagster resources: the warehouse, the bucket and the lake, configured separately from the assets.

How an engine or a store works is not defined here.
"""
