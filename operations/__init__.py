"""The `etl` command: start, follow, resume and inspect pipelines, the same way on AWS and in the local cloud."""
