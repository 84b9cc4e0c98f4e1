"""Alerts: which problems are open, which of them were not sent to a channel yet, and the channels.

Reading Dagster's records, the warehouse and the bucket does not belong here.
"""
