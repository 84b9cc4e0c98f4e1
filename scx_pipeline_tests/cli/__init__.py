"""The `scx` command and the README, as a person uses them.
What the engine and Dagster do underneath is tested in their own folders."""
