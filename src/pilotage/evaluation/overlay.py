"""Documents that exist inside one run only: canaries and the carriers of attacks (evaluation.md 4 and 6).

Rule: an overlay is never written to a corpus, so it cannot be promoted and is gone when the run's process ends. Fail
mode: none; it is a value.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.core.digest import digest_of_json


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayDocument:
    """One document of one chunk. `acl` are names such as `group:lending`; empty means nobody."""

    id: str
    title: str
    text: str
    acl: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """What is laid over the corpus version of a release while a run lasts."""

    documents: tuple[OverlayDocument, ...] = ()

    @property
    def digest(self) -> str:
        """The identity of the overlay, empty for none."""
        if not self.documents:
            return ""
        rows = sorted([one.id, one.title, one.text, *sorted(one.acl)] for one in self.documents)
        return digest_of_json(rows)


NO_OVERLAY = Overlay()
