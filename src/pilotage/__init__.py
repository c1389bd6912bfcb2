"""Pilotage: from pilot to governed production, and kept there."""

__version__ = "0.1.0"
