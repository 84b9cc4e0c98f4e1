"""Tests of what is told of a lake: its status, its verification, and the statements by which engines read it.
How it is written is tested in pipeline/."""
