"""Append-only Merkle log: entries, proofs, checkpoints, verification."""
