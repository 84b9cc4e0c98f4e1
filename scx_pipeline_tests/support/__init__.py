"""Fixtures, environments and servers that several test packages share.

Assertions about the product belong to the tests.
"""
