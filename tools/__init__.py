"""Programs for contributors: benchmarks, the documentation generator, the services without Docker.

Nothing here is installed with the package.
"""
