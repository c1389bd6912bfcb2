"""Pilotage: from pilot to governed production, and kept there."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
"""Read when NumPy is imported. A product of one request waits for memory: a second thread costs as much CPU again and,
on busy cores, twice the time (docs/benchmarks.md)."""

__version__ = "0.1.0"
