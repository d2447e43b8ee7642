"""The AWS of the local cloud: ministack, extended from outside with Glue runs, workflows, Athena on Iceberg and e-mail.

`python -m local_cloud.emulator --port P --state DIR` serves it on 127.0.0.1. ministack's private names are touched in
`ministack_access` only; everything else here is written against that module.
"""
