"""Build a lake with Spark: the job, its workers, and the archive of code that runs on EMR.

Starting a job belongs to orchestration.
"""
