"""Tests of the alerts: problems and messages, channels with receivers on this machine, and the sensor over real loads."""
