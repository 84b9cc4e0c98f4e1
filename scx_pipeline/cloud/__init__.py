"""AWS resources that the pipeline runs on, one CloudFormation template each: Redshift Serverless, provisioned Redshift, EMR Serverless.

Here belong the templates, the checks of their parameters, prices, operations on stacks, and the few operations that CloudFormation
lacks: pausing a cluster, cancelling job runs, stopping an application. Loading into a warehouse and building a lake do not belong
here. Only stacks with the tag `scx_pipeline` of their name are changed or deleted.
"""
