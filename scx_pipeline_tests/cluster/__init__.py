"""`scx cluster`: against moto where it knows the service (IAM, provisioned clusters), and AWS's own models where not.
No AWS is reached, and no test waits."""
