"""Governed documents: text, chunks, ACLs, versions, diffs, quality."""
