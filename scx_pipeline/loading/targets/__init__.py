"""Where a load writes its tables: the interface of a target, a warehouse, and months of a warehouse to which rows are added.

The order of a load's stages does not belong here.
"""
