"""How many user requests this process sent to a candidate, counted when routed, and how many streams a release has.

What is routed and never recorded shows only here. Rule: one dictionary update, no lock, no I/O. Fail mode: a process
that dies loses what it had not yet written; its records then outnumber its count, which hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName

Key = tuple[SpaceName, WorkflowName, Digest]


@dataclass(slots=True)
class Admissions:
    """Counts since the process started, by (space, workflow, release)."""

    _counts: dict[Key, int] = field(default_factory=dict)
    _streams: dict[Key, int] = field(default_factory=dict)

    def count(self, space: SpaceName, workflow: WorkflowName, release: Digest) -> None:
        """Count one request."""
        key = (space, workflow, release)
        self._counts[key] = self._counts.get(key, 0) + 1

    def totals(self) -> Mapping[Key, int]:
        """Return the counts as they are now."""
        return dict(self._counts)

    def open_stream(self, key: Key) -> None:
        """Count a stream that a release begins to answer."""
        self._streams[key] = self._streams.get(key, 0) + 1

    def close_stream(self, key: Key) -> None:
        """Count one that ended, however it did."""
        self._streams[key] -= 1

    def streams(self) -> Mapping[Key, int]:
        """Return the open streams of every release that ever had one here."""
        return dict(self._streams)
