"""Glue job: Validate."""

import sys

from etl_runtime.job import run_job
from etl_runtime.stages.validate import validate

if __name__ == "__main__":
    run_job("validate", validate, sys.argv)
