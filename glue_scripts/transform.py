"""Glue job: Transform."""

import sys

from etl_runtime.job import run_job
from etl_runtime.stages.transform import transform

if __name__ == "__main__":
    run_job("transform", transform, sys.argv)
