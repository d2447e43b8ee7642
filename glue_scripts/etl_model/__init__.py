"""The pipeline and environment files as typed models, and the names derived from them.

Shared by the CDK app, the jobs and the `etl` command: imports neither pyspark, aws_cdk nor boto3.
"""
