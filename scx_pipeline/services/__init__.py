"""What a deployment's services check before they start, and the process that supervises one.

The services themselves are Dagster's.
"""
