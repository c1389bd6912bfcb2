"""OpenAI-compatible HTTP on bare ASGI."""
