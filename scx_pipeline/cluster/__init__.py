"""Redshift as a thing that is made, paused and destroyed: a workgroup or a cluster, and the role it reads the bucket by.
How stars are loaded into it is in `warehouse`."""
