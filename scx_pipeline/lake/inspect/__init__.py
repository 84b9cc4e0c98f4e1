"""Report what a lake holds and verify it: status, files, rows and keys.

Nothing here changes a lake.
"""
