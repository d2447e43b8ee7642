"""Glue job: Load."""

import sys

from etl_runtime.job import run_job
from etl_runtime.stages.load import load

if __name__ == "__main__":
    run_job("load", load, sys.argv)
