"""Reconcilers, schedules and outbox delivery."""
