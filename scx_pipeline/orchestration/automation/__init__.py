"""What starts runs automatically: sensors, schedules, and the jobs they request.

Which months are due is decided by planning.
"""
