"""Deployment spaces: units, settings, residency, order."""
