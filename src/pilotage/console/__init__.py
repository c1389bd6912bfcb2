"""Server-rendered pages: what waits, what was decided, and why."""
