"""Random CSV files, and what each of them must give."""
