"""What the four Glue jobs share. Imports on Glue and on a laptop alike; knows nothing of the local cloud."""
