"""What a Dagster project of others uses: the components of stars with their scaffolder, and `build_defs`.

What a declaration means does not belong here.
"""
