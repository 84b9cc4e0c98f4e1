"""Tests of the alerts: the channels at receivers on this machine, and the sensor over real loads.
What is pure of them is tested in unit/test_alerts*.py."""
