"""Spark jobs on stand-ins for EMR, with the real code archive.

Requests are tested in the orchestration package.
"""
