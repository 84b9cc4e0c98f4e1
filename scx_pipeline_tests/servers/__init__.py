"""Real PostgreSQL and S3 servers from wheels, on loopback, without Docker, and the proof that they work.
What the pipeline does with them is tested in the other folders."""
