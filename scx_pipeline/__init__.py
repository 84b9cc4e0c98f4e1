"""scx_pipeline: raw log files land in a bucket, a trustworthy star schema comes out.
Only the version lives here; nothing is imported, so that `import scx_pipeline` costs nothing."""

__version__ = "0.1.0"
