"""Load a warehouse from a lake instead of from the source objects.

Building the lake does not belong here.
"""
