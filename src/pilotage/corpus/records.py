"""What flows through ingestion: a source item, its parsed sections, its chunks, and the draft of one revision.

Text is normalised (`corpus/text.py`) before it stands in any record here. Fail mode: an item that cannot become a
`DocumentDraft` becomes `Rejected` with its reason; an ACL of `()` means nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeAlias

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import DocumentId
from pilotage.corpus.settings import Classification

SECTION_SEPARATOR = " > "
"""Between the headings of a section path, in `Chunk.section` and in the heading that is hashed and indexed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceItem:
    """One thing a connector lists. `etag` changes when the item does; `path` is what globs match (its id, or its file).

    `row` is the item's content where listing already reads it (JSONL): it is not read a second time. `place` is the
    connector's own handle where the id alone does not find the item. `acl_confirmed_at` None: this listing confirms it.
    """

    id: str
    etag: str
    path: str
    place: str = ""
    modified: datetime | None = None
    size: int = 0
    uri: str | None = None
    row: Mapping[str, Json] | None = None
    acl_confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An item that did not enter the version, and why. `id` is its document id, or `line N` without one.

    `acl` is who may read it now, where that is known: its document may stand in earlier versions. `acl_confirmed_at` is
    the source item's.
    """

    id: str
    reason: str
    acl: tuple[str, ...] | None = field(default=None, compare=False)
    acl_source: str = field(default="", compare=False)
    acl_confirmed_at: datetime | None = field(default=None, compare=False)

    def as_json(self) -> dict[str, str]:
        """Return `{id, reason}`."""
        return {"id": self.id, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """Running text: a paragraph, a list item or a block of code."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table by rows, one line of text each. `header` ("" for none) is repeated when the table is split."""

    header: str
    rows: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole table as lines."""
        return "\n".join((self.header, *self.rows) if self.header else self.rows)


Block: TypeAlias = Paragraph | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The blocks under one heading. `path` holds the headings from the outermost in; () before the first one."""

    path: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def heading(self) -> str:
        """The path as one line."""
        return SECTION_SEPARATOR.join(self.path)

    @property
    def text(self) -> str:
        """The blocks, a blank line between each."""
        return "\n\n".join(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDocument:
    """What a parser read. `title` is "" when the format holds none.

    `fields` is its front matter (title, dates, classification, region, uri; never an ACL). `hidden_elements` counts
    what a reader would not have seen, which is removed; `needs_ocr` lists pages (from 1) that are images without text;
    `failed_pages` those that could not be read.
    """

    title: str
    sections: tuple[Section, ...]
    parser: str
    fields: Mapping[str, str] = field(default_factory=dict)
    hidden_elements: int = 0
    needs_ocr: tuple[int, ...] = ()
    failed_pages: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """All section texts, a blank line between each: what chunk offsets count in."""
        return "\n\n".join(section.text for section in self.sections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A passage of one section.

    `ordinal` counts from 0 in the document; `start` and `end` are character offsets into `ParsedDocument.text`, where
    `text` stands as it is (part of a split table: the rows, while `text` repeats the header before them). `tokens` is
    the analyser's count. `content_hash` is the digest of canonical JSON `{"heading", "text"}`.
    """

    ordinal: int
    section: str
    text: str
    start: int
    end: int
    tokens: int
    content_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDraft:
    """One revision of one document, ready to store. `acl` () means nobody may read it.

    `revision_hash` covers the text with its sections, `meta_hash` title, dates and uri: a change there alone is
    "metadata". `lineage` says how the text came to be: connector, source id, etag, fetched at, raw digest, versions.
    """

    id: DocumentId
    title: str
    uri: str | None
    acl: tuple[str, ...]
    acl_source: str
    classification: Classification
    region: str
    effective_from: date | None
    effective_to: date | None
    revision_hash: Digest
    meta_hash: Digest
    chunks: tuple[Chunk, ...]
    lineage: Mapping[str, Json]
    modified: datetime | None = None
    acl_confirmed_at: datetime | None = None
    notes: tuple[str, ...] = field(default=())
