"""What the retrieval index of a process may use: `pilotage.yaml: index` (corpus-and-ledger.md 3.6).

Fail mode: a size that cannot be read is a mistake with its line.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.core.fields import Fields
from pilotage.core.readers import BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """`memory_limit` is in bytes for the snapshot of one corpus; None: half of the machine's memory."""

    memory_limit: int | None = None


def parse_index(fields: Fields) -> IndexSettings:
    """Read the index's settings."""
    limit = fields.get("memory_limit", BYTES, None)
    if limit == 0:
        fields.problem("memory_limit", "memory_limit is nothing at all", "Write a size such as 8GiB, or leave it out.")
    return IndexSettings(memory_limit=limit)
