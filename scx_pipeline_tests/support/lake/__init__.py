"""Helpers for tests of the lake; no tests belong here."""
