"""`python -m operations` is the `etl` command."""

from operations.cli import main

main()
