"""Random JSON files, and what each of them must give."""
