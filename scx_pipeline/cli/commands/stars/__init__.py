"""Commands about declarations: to write a star's, to check it, to test it, and to show what follows from it.

Commands that load or read tables do not belong here.
"""
