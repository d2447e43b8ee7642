"""Building blocks of the platform: each hides one idea of AWS and is composed by `stacks/`."""
