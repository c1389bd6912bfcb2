"""How many user requests this process sent to a candidate, counted at the moment of routing.

What is routed and never recorded shows only here. Rule: one dictionary update, no lock, no I/O. Fail mode: a process
that dies loses what it had not yet written; its records then outnumber its count, which hides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName


@dataclass(slots=True)
class Admissions:
    """Counts since the process started, by (space, workflow, release)."""

    _counts: dict[tuple[SpaceName, WorkflowName, Digest], int] = field(default_factory=dict)

    def count(self, space: SpaceName, workflow: WorkflowName, release: Digest) -> None:
        """Count one request."""
        key = (space, workflow, release)
        self._counts[key] = self._counts.get(key, 0) + 1

    def totals(self) -> Mapping[tuple[SpaceName, WorkflowName, Digest], int]:
        """Return the counts as they are now."""
        return dict(self._counts)
