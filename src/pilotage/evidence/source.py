"""What a reader is given and how it refuses: the opened file, its content by form, and one internal exception.

Rule: a reader sees values only; it never opens, fetches, renders or runs anything a file names. Fail mode: `Unreadable`
carries the reason up to the single door `read.read_evidence`, which turns it into a `ReadRefusal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from xml.etree.ElementTree import Element  # only the record type; parsing is ours (xml_tree.py)

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.evidence.records import ReadContext, Reading


class Unreadable(Exception):
    """The file cannot count. Raised inside the room only; `read_evidence` turns it into a refusal value."""

    def __init__(self, code: str, text: str, *, observed: str | None = None, limit: str | None = None) -> None:
        super().__init__(text)
        self.reason = Reason(code=code, text=text, observed=observed, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlContent:
    """A file that is XML. Names in a namespace read `{uri}local`."""

    root: Element


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonContent:
    """A file that is strict JSON."""

    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TextContent:
    """Any other text: CSV, YAML, lcov, Markdown, tag-value. `value` has no byte order mark."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryContent:
    """A PDF or a Word document; its text comes through the port `text_of`."""

    media: str


Content: TypeAlias = XmlContent | JsonContent | TextContent | BinaryContent
TextOf: TypeAlias = Callable[[bytes, str], str]
"""`(data, media) -> text` of a PDF or Word document; raises ValueError when it has none. An adapter gives it."""


def no_text(data: bytes, media: str) -> str:
    """Refuse every binary document: the port for a caller that can extract no text."""
    message = f"no text can be extracted from {len(data)} bytes of {media}"
    raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One opened file. `kind` is what the uploader said, or what its content showed; `name` is for messages only."""

    data: bytes
    name: str
    kind: str
    content: Content
    text_of: TextOf = no_text

    @property
    def root(self) -> Element:
        """Return the root element; refuse what is not XML."""
        if isinstance(self.content, XmlContent):
            return self.content.root
        raise Unreadable("EV_KIND_MISMATCH", f"{self.name} is not XML.")

    @property
    def json(self) -> Json:
        """Return the JSON value; refuse what is not JSON."""
        if isinstance(self.content, JsonContent):
            return self.content.value
        raise Unreadable("EV_KIND_MISMATCH", f"{self.name} is not JSON.")

    @property
    def text(self) -> str:
        """Return the text of a file that is neither XML nor JSON; refuse the rest."""
        if isinstance(self.content, TextContent):
            return self.content.value
        raise Unreadable("EV_KIND_MISMATCH", f"{self.name} is not plain text.")


Reader: TypeAlias = Callable[[Source, ReadContext], Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One row of the table of readers.

    `kinds` are names or globs (`tests.*`) of evidence this format can be; `looks_like` tells by content alone, cheaply
    and without raising; `read` may raise `Unreadable`. `detected_kind` is the kind when the uploader named none; None
    when the content cannot tell. `version` is that of `read`: it rises with every change by which `read` makes
    something else of the same bytes.
    """

    id: str
    kinds: tuple[str, ...]
    looks_like: Callable[[Content], bool]
    read: Reader
    detected_kind: str | None = None
    version: int = 1

    @property
    def named(self) -> str:
        """How a reading calls who made it."""
        return f"{self.id}@{self.version}"
