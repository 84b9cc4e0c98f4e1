"""Tests of the project itself: architecture, documentation, settings."""
