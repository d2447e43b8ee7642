"""The stacks of an environment: they compose constructs, wire and grant."""
