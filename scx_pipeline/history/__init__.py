"""The load history: state tables in the warehouse, written in the transaction that publishes a load.

Deciding from it what to load belongs to planning.
"""
