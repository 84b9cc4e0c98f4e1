"""Tests of objects that the cluster reads itself.

The tables are compared with those of the other engines elsewhere.
"""
