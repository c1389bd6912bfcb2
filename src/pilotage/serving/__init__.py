"""One request, step by step."""
