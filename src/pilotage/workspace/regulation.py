"""Checklists of a regulation, a law or a review as frozen records: what is asked, by which paragraph, on what evidence.

Rule: a checklist is data with its source and the day the source was read; a gate's sign-off names it, and whoever signs
answers every item. Fail mode: the parser refuses a checklist without source, date or items.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RegulationItem:
    """One question. `evidence` are kinds that must be there before it is answered with yes; `cite` the paragraph."""

    id: str
    text: str
    cite: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Regulation:
    """A checklist by its name. `as_of` is the day (ISO 8601) on which somebody read the source."""

    name: str
    title: str
    source: str
    as_of: str
    items: tuple[RegulationItem, ...]

    def key(self, item: RegulationItem) -> str:
        """Return the item as answers name it: `sec.records`."""
        return f"{self.name}.{item.id}"
