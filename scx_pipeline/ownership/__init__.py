"""Which tables of a warehouse the pipeline created, and how they differ from their declaration.

Changing a table during a load belongs to loading.
"""
