"""Whole loads of odd and broken files, format by format, on every engine.

Parsers are tested in the parsing package.
"""
