"""Tests of objects that the cluster reads itself."""
