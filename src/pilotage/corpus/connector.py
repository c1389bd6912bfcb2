"""The port of a document source (corpus-and-ledger.md 1.1): list, fetch, acl, check_access.

Items are taken one by one. Fail mode: a bad item is `Rejected` or raises ItemUnreadable and the run goes on; a listing
that fails raises ListingFailed and stops the run, because half a listing looks like a mass removal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pilotage.core.canonical import Json
from pilotage.core.errors import Unavailable
from pilotage.corpus.records import ParsedDocument, Rejected, SourceItem


class ListingFailed(Unavailable):
    """The source could not be listed to its end. Nothing was changed."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__("LISTING_FAILED", message, hint=hint)


class ItemUnreadable(Exception):
    """One item cannot be read; the text is the reason its rejection shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An item's content: raw bytes with the suffix that names their format, or a row, or what was parsed before."""

    data: bytes = b""
    suffix: str = ""
    row: Mapping[str, Json] | None = None
    document: ParsedDocument | None = None


class Connector(Protocol):
    """Where documents come from. `name` stands in every revision's lineage."""

    @property
    def name(self) -> str:
        """Return the kind and place of the source, without secrets."""
        ...

    def list(self) -> Iterator[SourceItem | Rejected]:
        """Yield every item once; raise ListingFailed when the end cannot be reached."""
        ...

    def fetch(self, item: SourceItem) -> Fetched:
        """Return the content of an item; raise ItemUnreadable with the reason."""
        ...

    def acl(self, items: Sequence[SourceItem]) -> Mapping[str, object]:
        """Return `{id: names, or None for unknown}` for items with an ACL of their own; others take the rules."""
        ...

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:
        """Ask the source whether a holder of these ACL names may read each id now; a missing id means no."""
        ...
