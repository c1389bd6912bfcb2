"""Golden sets scored: facts, scorers, statistics, comparison with a baseline, fairness, permission suite."""
