"""Glue job: Extract."""

import sys

from etl_runtime.job import run_job
from etl_runtime.stages.extract import extract

if __name__ == "__main__":
    run_job("extract", extract, sys.argv)
