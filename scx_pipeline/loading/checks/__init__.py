"""The checks that a star's declaration implies, and their evaluation inside the transaction of a load.

What happens when a check fails does not belong here.
"""
