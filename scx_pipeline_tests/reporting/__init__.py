"""Tests of reporting: freshness, volume, status and rejected rows."""
