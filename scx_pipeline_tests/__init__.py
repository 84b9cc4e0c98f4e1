"""The tests, a folder per speed tier, and the real servers they run against.
Nothing here is imported by the package or shipped with it."""
