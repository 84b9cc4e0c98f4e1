"""Decides which objects and months a load needs and which runs to request. Pure functions only.

Listing a bucket and reading the load history belong to the callers.
"""
