"""Tests with a real Spark: the maker inside this process, and jobs by spark-submit.
They skip, and say why, where there is no Java or no PySpark."""
