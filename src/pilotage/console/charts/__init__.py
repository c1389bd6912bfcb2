"""Charts as pure functions from numbers to SVG text, each with its table."""
