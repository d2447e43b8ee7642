"""The published lake tables in Snowflake: one transaction per table and change set, then a comparison with the lake.

Only `lake_fingerprint` imports pyspark; `identifiers`, `model` and `account_setup` need no Snowflake connector. Import
from the modules, and only for a pipeline with a warehouse: the job of any other ships no connector.
"""
