"""A production corpus as the source of a UAT one: accepted documents, redacted on the way (corpus-and-ledger.md 2.5).

Readers are those of the source document and as old as there, so no derived copy is more open than its original; what
was taken down is not listed. Fail mode: text in which redaction leaves structured personal data is rejected, document
by document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Engine, text

from pilotage.core.digest import digest_of_json
from pilotage.core.ids import CorpusName
from pilotage.corpus.connector import Fetched, ItemUnreadable, ListingFailed
from pilotage.corpus.inspection import Inspect, Redact
from pilotage.corpus.records import SECTION_SEPARATOR, Paragraph, ParsedDocument, Rejected, Section, SourceItem
from pilotage.corpus.version import VersionState
from pilotage.store.corpora import newest_version
from pilotage.store.corpus_documents import StoredRevision, documents_of, revisions_of, stored_passages

PARSER = "pilotage-derived/1"
_GOVERNED = text(
    "SELECT id, acl, classification, region, acl_confirmed_at FROM document"
    " WHERE corpus = :corpus AND tombstone IS NULL"
)


class DerivedSource:
    """Lists the revisions of a corpus's latest accepted version. `inspect` checks what redaction left."""

    def __init__(self, engine: Engine, source: CorpusName, *, redact: Redact, inspect: Inspect) -> None:
        self._engine = engine
        self._source = source
        self._redact = redact
        self._inspect = inspect
        self._revisions: dict[str, StoredRevision] = {}
        self._readers: dict[str, tuple[str, ...]] = {}
        self._confirmed: dict[str, datetime] = {}
        self._levels: dict[str, tuple[str, str]] = {}

    @property
    def name(self) -> str:
        """Return `derived:<corpus>`."""
        return f"derived:{self._source}"

    def list(self) -> Iterator[SourceItem | Rejected]:
        """Yield one item per document of the accepted version, by document id."""
        with self._engine.connect() as connection:
            version = newest_version(connection, self._source, VersionState.ACCEPTED)
            if version is None:
                message = f"Corpus {self._source} has no accepted version to derive from."
                raise ListingFailed(message, hint=f"Accept a version of {self._source}, then refresh again.")
            for row in connection.execute(_GOVERNED, {"corpus": self._source}).mappings():
                self._readers[row["id"]] = tuple(row["acl"])
                self._confirmed[row["id"]] = row["acl_confirmed_at"]
                self._levels[row["id"]] = (row["classification"], row["region"])
            self._revisions = {
                f"{one.document}\x1f{one.rev}": one
                for one in revisions_of(connection, self._source, version.revisions)
                if not one.purged and one.document in self._readers
            }
        for key in sorted(self._revisions):
            one = self._revisions[key]
            etag = digest_of_json([one.hash, one.meta_hash])
            yield SourceItem(
                id=one.document,
                etag=etag,
                path=one.document,
                place=key,
                acl_confirmed_at=self._confirmed[one.document],
            )

    def fetch(self, item: SourceItem) -> Fetched:
        """Return the redacted text in the sections of the original."""
        one = self._revisions.get(item.place)
        if one is None:
            raise ItemUnreadable("was not listed by this source")
        with self._engine.connect() as connection:
            passages = stored_passages(connection, self._source, one.rev)
        if not passages:
            raise ItemUnreadable("holds no text any more")
        sections = tuple(
            Section(
                path=tuple(self._redact(part) for part in heading.split(SECTION_SEPARATOR) if part),
                blocks=(Paragraph(text=self._redact(body)),),
            )
            for heading, body in join_passages(passages)
        )
        document = ParsedDocument(
            title=self._redact(one.title), sections=sections, parser=PARSER, fields=self._fields(one)
        )
        shown = (item.id, document.title, *(section.heading for section in sections), document.text)
        left = self._inspect("\n".join(shown)).pii
        if left:
            message = f"redaction left structured personal data: {', '.join(sorted(left))}"
            raise ItemUnreadable(message)
        return Fetched(document=document)

    def acl(self, items: Sequence[SourceItem]) -> Mapping[str, object]:
        """Return the readers of the originals, as they are now."""
        return {item.id: self._readers.get(item.id, ()) for item in items}

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:
        """Ask the source corpus's current ACLs."""
        with self._engine.connect() as connection:
            found = documents_of(connection, self._source, ids)
        return {id_: bool(names & set(one.acl)) and one.tombstone is None for id_, one in found.items()}

    def _fields(self, one: StoredRevision) -> dict[str, str]:
        classification, region = self._levels[one.document]
        fields = {"classification": classification, "region": region}
        for key, day in (("effective_date", one.effective_from), ("expiry_date", one.effective_to)):
            if isinstance(day, date):
                fields[key] = day.isoformat()
        return fields


def join_passages(passages: Sequence[tuple[str, str, int, int]]) -> list[tuple[str, str]]:
    """Put passages `(section, text, start, end)` together again: `[(section, text)]` without overlaps."""
    sections: list[tuple[str, str]] = []
    done = 0
    for heading, body, start, end in passages:
        own = body[len(body) - (end - start) :] if len(body) > end - start and start > done else body
        if sections and sections[-1][0] == heading and start < done:
            sections[-1] = (heading, sections[-1][1] + own[done - start :])
        elif sections and sections[-1][0] == heading:
            joint = "\n" if len(body) > end - start else "\n\n"
            sections[-1] = (heading, sections[-1][1] + joint + own)
        else:
            sections.append((heading, body))
        done = max(done, end)
    return sections
