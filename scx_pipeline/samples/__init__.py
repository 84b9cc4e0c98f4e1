"""Deterministic generators of realistic buckets, one per star: the same options give the same bytes anywhere.

Loading, settings and warehouses do not belong here.
"""
