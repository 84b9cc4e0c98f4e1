"""Random Parquet files, and what each of them must give."""
