"""Evidence: kinds, readers of standard formats, freshness, and what a file is bound to."""
