"""A realistic Scx job log of any size.

Loading it does not belong here.
"""
