"""Findings over text: PII, injection, grounding, citations."""
