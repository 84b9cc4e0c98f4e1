"""What is made in AWS, told and destroyed: a Redshift (workgroup or cluster), an EMR Serverless for Spark, and their roles.
How stars are loaded is in `warehouse`, and how the lake is built in `lake`."""
