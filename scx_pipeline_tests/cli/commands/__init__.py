"""Tests of single commands, one module per group; those of what several share are one folder up."""
