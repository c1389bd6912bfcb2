"""Generators of answers: one adapter per kind of model, behind the port of release/generation.py."""
