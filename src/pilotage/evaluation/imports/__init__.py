"""Golden cases of other tools, parsed and never run (evaluation.md 9)."""
