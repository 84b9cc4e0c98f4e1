"""The load history: state tables in the warehouse, written in the transaction that publishes a load.

Deciding what to load from it is planning.
"""
