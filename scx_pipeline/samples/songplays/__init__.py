"""A realistic log of music events and song metadata of any size.

Loading it does not belong here.
"""
