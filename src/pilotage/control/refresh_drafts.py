"""From a listed item to the draft of a revision: exclusions, parsing, governance fields, chunks.

Everything that can be wrong with one item ends here as `Rejected` with its reason; nothing about one item stops a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import PurePosixPath

from pilotage.adapters.parsing.pool import ParserPool
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of
from pilotage.core.ids import DocumentId
from pilotage.corpus.acl import Readers, readers_by_rules, readers_of
from pilotage.corpus.analyser import ANALYSER_ID
from pilotage.corpus.chunker import CHUNKER_ID, chunk_document
from pilotage.corpus.connector import Connector, Fetched, ItemUnreadable
from pilotage.corpus.exclusions import excluded_after_parsing, excluded_before_parsing
from pilotage.corpus.fields import (
    FieldProblem,
    check_dates,
    check_id,
    has_acl,
    map_row,
    parse_classification,
    parse_date,
    parse_region,
)
from pilotage.corpus.records import DocumentDraft, Paragraph, ParsedDocument, Rejected, Section, SourceItem
from pilotage.corpus.settings import Classification, CorpusSettings
from pilotage.corpus.text import meta_hash, normalise_line, revision_hash

ROW_PARSER = "pilotage-row/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A draft beside what the quality report wants to know of its source."""

    draft: DocumentDraft
    parsed: ParsedDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    title: str
    uri: str | None
    classification: Classification | None
    region: str | None
    effective_from: date | None
    effective_to: date | None


class DraftMaker:
    """Turns items into drafts, by the corpus's settings."""

    def __init__(self, settings: CorpusSettings, connector: Connector, pool: ParserPool, *, now: datetime) -> None:
        self._settings = settings
        self._connector = connector
        self._pool = pool
        self._now = now

    def draft_all(self, items: Sequence[SourceItem]) -> Iterator[Drafted | Rejected]:
        """Yield one result per item, in order."""
        acls = self._connector.acl(items)
        for item in items:
            readers = self._readers(item, acls)
            try:
                one = self._draft(item, readers)
            except (ItemUnreadable, FieldProblem) as problem:
                one = Rejected(id=item.id, reason=str(problem))
            if isinstance(one, Rejected):
                confirmed_at = item.acl_confirmed_at
                one = replace(one, acl=readers.names, acl_source=readers.source, acl_confirmed_at=confirmed_at)
            yield one

    def _readers(self, item: SourceItem, acls: Mapping[str, object]) -> Readers:
        if item.id not in acls:
            return self._by_rules(item)
        own = readers_of(acls[item.id], source=self._connector.name)
        if item.row is None or has_acl(item.row, self._settings.fields):
            return own
        # The ACL is another row's of the same id: it may narrow this row's readers, never widen them.
        ruled = self._by_rules(item).names
        return replace(own, names=tuple(name for name in own.names if name in ruled))

    def _by_rules(self, item: SourceItem) -> Readers:
        return readers_by_rules(item.path, rules=self._settings.acl_rules, default=self._settings.acl)

    def _draft(self, item: SourceItem, readers: Readers) -> Drafted | Rejected:
        check_id(item.id)
        rules = self._settings.exclusions
        excluded = excluded_before_parsing(rules, path=item.path, modified=item.modified, now=self._now)
        if excluded is not None:
            return Rejected(id=item.id, reason=excluded)
        content = self._connector.fetch(item)
        parsed, facts = self._read(item, content)
        floor = self._settings.classification
        given = facts.classification or floor
        classification = max(floor, given, key=lambda level: level.rank)
        excluded = excluded_after_parsing(rules, title=facts.title, classification=classification)
        if excluded is not None:
            return Rejected(id=item.id, reason=excluded)
        chunks = chunk_document(parsed)
        if not chunks:
            return Rejected(id=item.id, reason=_no_text(parsed))
        draft = DocumentDraft(
            id=DocumentId(item.id),
            title=facts.title,
            uri=facts.uri,
            acl=readers.names,
            acl_source=readers.source,
            classification=classification,
            region=facts.region or self._settings.region,
            effective_from=facts.effective_from,
            effective_to=facts.effective_to,
            revision_hash=revision_hash(parsed.sections),
            meta_hash=meta_hash(
                title=facts.title,
                uri=facts.uri,
                effective_from=facts.effective_from,
                effective_to=facts.effective_to,
            ),
            chunks=chunks,
            lineage=self._lineage(item, content, parsed, facts.uri),
            modified=item.modified,
            acl_confirmed_at=item.acl_confirmed_at,
            notes=("classification_not_lowered",) if given.rank < floor.rank else (),
        )
        return Drafted(draft=draft, parsed=parsed)

    def _read(self, item: SourceItem, content: Fetched) -> tuple[ParsedDocument, _Facts]:
        if content.row is not None:
            row = map_row(content.row, self._settings.fields)
            section = Section(path=(row.section,) if row.section else (), blocks=_paragraphs(row.text))
            parsed = ParsedDocument(title=row.title, sections=(section,), parser=ROW_PARSER)
            return parsed, _Facts(
                title=row.title,
                uri=row.uri or item.uri,
                classification=row.classification,
                region=row.region,
                effective_from=row.effective_from,
                effective_to=row.effective_to,
            )
        parsed = content.document or self._pool.parse(content.suffix, content.data)
        return parsed, _front_matter(item, parsed)

    def _lineage(self, item: SourceItem, content: Fetched, parsed: ParsedDocument, uri: str | None) -> dict[str, Json]:
        return {
            "connector": self._connector.name,
            "source_id": item.id,
            "etag": item.etag,
            "fetched_at": to_text(self._now),
            "raw_sha256": digest_of(content.data) if content.data else item.etag,
            "parser": parsed.parser,
            "analyser": ANALYSER_ID,
            "chunker": CHUNKER_ID,
            "uri": uri,
        }


def _no_text(parsed: ParsedDocument) -> str:
    pages = ", ".join(map(str, parsed.needs_ocr))
    return f"holds no text; pages without text: {pages}" if pages else "holds no text"


def _front_matter(item: SourceItem, parsed: ParsedDocument) -> _Facts:
    fields = parsed.fields
    first = parse_date(fields.get("effective_date"), "effective_date")
    last = parse_date(fields.get("expiry_date"), "expiry_date")
    check_dates(first, last)
    return _Facts(
        title=parsed.title or normalise_line(PurePosixPath(item.id).stem),
        uri=normalise_line(fields.get("uri", "")) or item.uri,
        classification=parse_classification(fields.get("classification")),
        region=parse_region(fields.get("region")),
        effective_from=first,
        effective_to=last,
    )


def _paragraphs(text: str) -> tuple[Paragraph, ...]:
    return tuple(Paragraph(text=part) for part in text.split("\n\n") if part.strip())
