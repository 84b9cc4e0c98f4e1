"""The cases of a star: unit tests of its SQL, with input rows and expected rows.

Checks of loaded rows belong to loading.
"""
