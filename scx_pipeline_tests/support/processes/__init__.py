"""Other processes and sessions that tests load with, pause, kill, or wait for.

Servers are not started here.
"""
