"""Sealed bundles: manifest, digest, authorship, diff."""
