"""Differential fuzz test: random files read by our parsers and by Python's csv, json and pyarrow, with the same result.
`test_fuzz` runs it; a module per format makes files from a seed and says what they hold; `rules` types single values."""
