"""The Dagster shell: partitions, assets, checks, jobs, schedules, sensors and resources of any star.
What a load does is in `engine`; nothing here touches rows."""
