"""Tests of the project itself: architecture, documentation, settings.

What a package does is tested in the folder of its name.
"""
