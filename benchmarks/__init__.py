"""Measurements of what the platform promises to do fast; see README.md."""
