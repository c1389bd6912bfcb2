"""A source in memory: the fake of the connector port, which can fail where a test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pilotage.core.digest import digest_of
from pilotage.corpus.connector import Fetched, ItemUnreadable, ListingFailed
from pilotage.corpus.records import Rejected, SourceItem


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDocument:
    """A document of the fake source. `acl` "rules": none of its own; None: the source does not know."""

    data: bytes
    suffix: str = ".md"
    acl: object = "rules"
    modified: datetime | None = None
    uri: str | None = None
    readable: bool = True


@dataclass(slots=True, kw_only=True)
class MemoryConnector:
    """Lists `documents` in their order. `listing_fails_after`: items yielded before the listing breaks."""

    documents: Mapping[str, MemoryDocument]
    listing_fails_after: int | None = None
    fetched: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return `memory`."""
        return "memory"

    def list(self) -> Iterator[SourceItem | Rejected]:
        """Yield every document, or fail on the way."""
        for index, (document, content) in enumerate(self.documents.items()):
            if index == self.listing_fails_after:
                raise ListingFailed("The memory source broke off.", hint="This is what the test asked for.")
            yield SourceItem(
                id=document,
                etag=digest_of(content.data),
                path=document,
                modified=content.modified,
                size=len(content.data),
                uri=content.uri,
            )

    def fetch(self, item: SourceItem) -> Fetched:
        """Return the bytes, or fail as the document says."""
        self.fetched.append(item.id)
        content = self.documents.get(item.id)
        if content is None or not content.readable:
            raise ItemUnreadable("cannot be read: the memory source says so")
        return Fetched(data=content.data, suffix=content.suffix)

    def acl(self, items: Sequence[SourceItem]) -> Mapping[str, object]:
        """Return the ACLs of documents that have their own."""
        return {item.id: self.documents[item.id].acl for item in items if self.documents[item.id].acl != "rules"}

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:
        """Answer from the documents' own ACLs."""
        known = {id_: self.documents[id_].acl for id_ in ids if id_ in self.documents}
        return {id_: isinstance(acl, list | tuple) and bool(names & set(acl)) for id_, acl in known.items()}
