"""Differential fuzz test: random files read by our parsers and by Python's csv, json and pyarrow, with the same result.

Each format has a package that makes files from a seed and says what they must give; `rules` types single values.
"""
