"""Files become typed rows and rejected rows, by the same rules for every format.

Counting rows per object, retries and publishing do not belong here.
"""
