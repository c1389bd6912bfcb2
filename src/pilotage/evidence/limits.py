"""How much of a file is read at most (gates.md 2.2). Rule: beyond a limit of size the file is refused, never cut short.

Only the lists a reading carries beside its claims (names, findings) are capped; the claims count all of them.
"""

from __future__ import annotations

MAX_SECONDS = 10
"""What one file may take; whoever reads it in a process of its own ends that process then."""
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_ELEMENTS = 2_000_000
MAX_VALUE = 1024 * 1024
"""Characters of one attribute, text or JSON string."""
MAX_NAMES = 100_000
"""Entries of one list in `Reading.names`."""
MAX_FINDINGS = 100_000
