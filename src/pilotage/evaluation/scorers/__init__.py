"""The deterministic scorers, one family a file."""
