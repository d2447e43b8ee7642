"""The four stages, each: load state; already done by this run, done; not what it expects, stop; else work and commit."""
