"""Realistic Parquet files of sensor readings, one per minute.

Loading them does not belong here.
"""
