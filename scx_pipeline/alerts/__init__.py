"""Alerts: which problems stand, which of them a channel has not been told yet, and the channels themselves.
Dagster is asked, and the warehouse and the bucket are looked at, in `orchestration.alerting`."""
