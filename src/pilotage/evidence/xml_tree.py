"""XML from outside, read with expat and without its traps: no entities, no fetching, bounded (gates.md 2.2).

Rule: a DOCTYPE may name an external id (Cobertura has one), which is never fetched; an internal subset or any entity
declaration ends the reading, so neither entity expansion (billion laughs) nor external entities (XXE) can happen.
Fail mode: `Unreadable` with EV_XML_ENTITY, EV_MALFORMED or EV_TOO_LARGE.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element  # only the record type; parsing is below
from xml.parsers import expat  # entities and fetching are refused by the handlers below

from pilotage.evidence.limits import MAX_DEPTH, MAX_ELEMENTS, MAX_VALUE
from pilotage.evidence.source import Unreadable

_SEPARATOR = "}"
_CHUNK = 1 << 20


def parse_xml_text(text: str) -> Element:
    """Return the root element; names in a namespace read `{uri}local`. Raise Unreadable on any trap or limit."""
    # The text is already decoded, so an encoding named in the declaration is overruled.
    return _Builder().parse(text.encode("utf-8"))


def local(name: str) -> str:
    """Return an element's or attribute's name without its namespace."""
    return name.rpartition(_SEPARATOR)[2]


class _Builder:
    """Collects elements from expat's events and counts what it collects."""

    __slots__ = ("_count", "_length", "_parser", "_pieces", "_root", "_stack")

    def __init__(self) -> None:
        parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._skipped
        parser.ExternalEntityRefHandler = self._external
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        self._parser = parser
        self._root: Element | None = None
        self._stack: list[Element] = []
        self._count = 0
        self._pieces: list[str] = []
        self._length = 0

    def parse(self, data: bytes) -> Element:
        """Return the root of `data`."""
        try:
            for start in range(0, len(data), _CHUNK):
                self._parser.Parse(data[start : start + _CHUNK], False)  # noqa: FBT003  # expat takes it by position
            self._parser.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError as error:
            message = f"Not XML at line {error.lineno}: {expat.ErrorString(error.code)}."
            raise Unreadable("EV_MALFORMED", message) from None
        assert self._root is not None  # expat refuses a document without a root element
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._flush()
        self._count += 1 + len(attributes)
        if self._count > MAX_ELEMENTS:
            raise Unreadable("EV_TOO_LARGE", "The XML has too many elements.", limit=f"{MAX_ELEMENTS} elements")
        if len(self._stack) >= MAX_DEPTH:
            raise Unreadable("EV_TOO_LARGE", "The XML is nested too deeply.", limit=f"depth {MAX_DEPTH}")
        if any(len(value) > MAX_VALUE for value in attributes.values()):
            raise Unreadable("EV_TOO_LARGE", "An XML attribute is too long.", limit=f"{MAX_VALUE} characters")
        element = Element(_qualified(name), {_qualified(key): value for key, value in attributes.items()})
        if self._stack:
            self._stack[-1].append(element)
        else:
            self._root = element
        self._stack.append(element)

    def _end(self, _name: str) -> None:
        self._flush()
        self._stack.pop()

    def _characters(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        if self._length > MAX_VALUE:
            raise Unreadable("EV_TOO_LARGE", "An XML text is too long.", limit=f"{MAX_VALUE} characters")

    def _flush(self) -> None:
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        self._length = 0
        if not self._stack or text.isspace():
            return
        element = self._stack[-1]
        # No format read here mixes text and elements in order, so an element's text is all of its own text.
        element.text = (element.text or "") + text

    def _doctype(self, name: str, _system: str | None, _public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            raise Unreadable(
                "EV_XML_ENTITY", f"The DOCTYPE {name[:80]} has an internal subset; write the file without."
            )

    def _entity(self, name: str, *_rest: object) -> None:
        raise Unreadable("EV_XML_ENTITY", f"The XML declares the entity {name[:80]!r}.")

    def _skipped(self, name: str, _is_parameter: int) -> None:
        raise Unreadable(
            "EV_XML_ENTITY", f"The XML uses the entity {name[:80]!r}, which only its DOCTYPE could explain."
        )

    def _external(self, *_rest: object) -> int:
        raise Unreadable("EV_XML_ENTITY", "The XML refers to an external entity.")


def _qualified(name: str) -> str:
    return "{" + name if _SEPARATOR in name else name
