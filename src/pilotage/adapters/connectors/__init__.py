"""Bundled sources: a folder of files and JSONL rows."""
