"""Use cases, one file per command."""
