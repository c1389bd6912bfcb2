"""Observations to verdict: exact sequential tests, error budgets, sample-ratio check."""
