"""Normal form of text, and the hashes of what was read (corpus-and-ledger.md 1.3).

NFC, LF, no trailing space, no zero-width, bidi or tag characters (they hide instructions from a reader but not from a
model), no control characters. Two sources with the same visible text get the same hashes. Fail mode: a character that
cannot be stored (lone surrogate) becomes U+FFFD; nothing is ever dropped in silence except what cannot be seen.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import date
from json.encoder import encode_basestring

from pilotage.core.digest import Digest, digest_of
from pilotage.corpus.records import Section

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
_CONTROL = "\x00-\x08\x0e-\x1f\x7f"
_LINE_ENDS = "\r\x0b\x0c\u0085\u2028\u2029"
_SURROGATES = "\ud800-\udfff"
# One scan finds out that a text needs none of the four; most texts do not.
_ODD = re.compile(f"[{_INVISIBLE}{_CONTROL}{_LINE_ENDS}{_SURROGATES}]")
_ODD_ASCII = bytes(byte for byte in range(128) if _ODD.match(chr(byte)))
_DROPPED = re.compile(f"[{_INVISIBLE}{_CONTROL}]")
_LINE_END = re.compile(f"\r\n?|[{_LINE_ENDS}]")
_SURROGATE = re.compile(f"[{_SURROGATES}]")
_TRAILING = re.compile(r"[ \t\u00a0]+(?=\n|\Z)")
_MANY_BLANK = re.compile(r"\n{3,}")

# RFC 8785 escapes a string exactly as json does without ensure_ascii; this is what its encoder calls for a string.
_quote: Callable[[str], str] = encode_basestring


def normalise(text: str) -> str:
    """Return the text as it is stored, hashed and shown: idempotent."""
    if _is_odd(text):
        text = _SURROGATE.sub("\ufffd", _DROPPED.sub("", _LINE_END.sub("\n", text)))
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if " \n" in text or "\t\n" in text or "\u00a0\n" in text or text[-1:] in {" ", "\t", "\u00a0"}:
        text = _TRAILING.sub("", text)
    if "\n\n\n" in text:
        text = _MANY_BLANK.sub("\n\n", text)
    return text.strip("\n")


def _is_odd(text: str) -> bool:
    if not text.isascii():
        return _ODD.search(text) is not None
    plain = text.encode()
    return len(plain.translate(None, _ODD_ASCII)) != len(plain)


def normalise_line(text: str) -> str:
    """Return a heading or title: one line, single spaces."""
    return " ".join(normalise(text).split())


def content_hash(heading: str, text: str) -> Digest:
    """Return the digest of canonical JSON `{"heading", "text"}` of a chunk; both are already normalised."""
    body = f'{{"heading":{_quote(heading)},"text":{_quote(text)}}}'
    return Digest(f"sha256:{hashlib.sha256(body.encode()).hexdigest()}")


def revision_hash(sections: Iterable[Section]) -> Digest:
    """Return the digest of canonical JSON `[[path, SHA-256 of the text], ...]`: equal when a reader sees the same."""
    body = json.dumps(
        [[section.path, hashlib.sha256(section.text.encode()).hexdigest()] for section in sections],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return Digest(f"sha256:{hashlib.sha256(body.encode()).hexdigest()}")


def meta_hash(*, title: str, uri: str | None, effective_from: date | None, effective_to: date | None) -> Digest:
    """Return the digest of canonical JSON of title, dates and uri."""
    first = _quote(effective_from.isoformat()) if effective_from else "null"
    last = _quote(effective_to.isoformat()) if effective_to else "null"
    place = "null" if uri is None else _quote(uri)
    body = f'{{"effective_from":{first},"effective_to":{last},"title":{_quote(title)},"uri":{place}}}'
    return digest_of(body.encode())
