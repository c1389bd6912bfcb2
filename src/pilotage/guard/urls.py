"""URLs of an answer: only a cited document's own, or one on the allow-list; Markdown images and HTML never.

Tags are read as a browser reads them: over several lines, with quoted `>`, comments and scripts with what they hold.
What is left after a removal is looked at again, so nothing can be put together from the pieces. One linear pass each.
Fail mode: what may be a tag, an image or a link is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import re2

_TOKEN = re.compile(r"<[A-Z][A-Z_]{1,20}(?:_\d+|#[0-9a-f]{12})>")
_TAG = re2.compile(
    r"(?is)<!--.*?(?:-->|\z)"
    r"|<(?:script|style)\b.*?(?:</(?:script|style)[^<>]*>|\z)"
    r"|</?[a-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>"
    r"|<[/!?]?[a-z][^<>]*>"
    r"|</?[a-z][a-z0-9-]*(?:\s+|/)[a-z-]+\s*=[^<>]*\z"
)
_ANGLE = re.compile(r"[<>]")
_IMAGE = re.compile(
    r"!\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,500}+\]\((?:<[^<>]{0,2000}>|[^()<>]|\([^()]{0,500}\)){0,2000}+\)"
    r"|!\[(?!\d{1,3}\])[^\[\]]{0,500}\](?:\[[^\[\]]{0,200}\])"
)
_IMAGE_START = re.compile(r"!(?=\[(?!\d{1,3}\](?!\()))")
_LINK = re.compile(r"\[(?!\d{1,3}\])([^\]\n]{1,500})\]\((?:[^()\n]|\([^()\n]{0,500}\)){0,2000}+\)")
_PATH_BEHIND_MARKER = re.compile(r"(\[\d{1,3}\])\((?=[/.#?])[^()\s]{0,2000}\)")
_REST = r"(?:[^\s<>\"'()\[\]]|\([^\s<>\"'()\[\]]{0,500}\))+"
_URL = re.compile(
    rf"\b(?:[a-z][a-z0-9+.\-]{{1,20}}://|(?:https?|ftp|file|data|javascript|vbscript):){_REST}"
    rf"|\bwww\.{_REST}|(?<![\w:/])//(?=[\w-]{{1,63}}\.){_REST}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripped:
    """The text without what may not stand in it, and how many places were removed."""

    text: str
    removed: int


_MARKS = re.compile(r"[<:]|!\[|\]\(|//|www\.", re.IGNORECASE)


def may_hold_urls(text: str) -> bool:
    """Tell whether anything stands in the text that an image, a tag, a link or an address cannot do without."""
    return _MARKS.search(text) is not None


def strip_urls(text: str, *, allowed: Collection[str]) -> Stripped:
    """Remove images, HTML and every URL that is not allowed; an allowed entry ending in `/` allows what is below it."""
    if not may_hold_urls(text):
        return Stripped(text=text, removed=0)
    without, images = _images(text)
    without, tags = _tags(without)
    links = [0]
    plain = _LINK.sub(lambda found: found[0] if _URL.search(found[0]) else found[1], without)
    plain = _PATH_BEHIND_MARKER.sub(r"\1", plain)
    if plain != without:  # the words of a link may have made a tag of what stands around them
        plain, more = _tags(plain)
        tags += more
    shown = _URL.sub(partial(_kept, allowed=allowed, count=links), plain)
    return Stripped(text=shown, removed=images + tags + links[0])


def _images(text: str) -> tuple[str, int]:
    without, count = _IMAGE.subn("", text)
    # What an image left behind, or no pattern could read to its end, is at most a link.
    without, starts = _IMAGE_START.subn("", without)
    return without, count + starts


def _tags(text: str) -> tuple[str, int]:
    if "<" not in text:
        return text, 0
    without, count = _without_tags(text)
    again, more = _without_tags(without) if count else (without, 0)
    if more and _without_tags(again)[1]:
        again = _ANGLE.sub("", again)
    return again, count + more


def _without_tags(text: str) -> tuple[str, int]:
    pieces: list[str] = []
    at = count = 0
    for found in _TAG.finditer(text):
        if not _TOKEN.fullmatch(found[0]):
            pieces.append(text[at : found.start()])
            at, count = found.end(), count + 1
    return "".join([*pieces, text[at:]]), count


def _kept(match: re.Match[str], *, allowed: Collection[str], count: list[int]) -> str:
    written = match[0].rstrip(".,;:")
    url = f"https://{written}" if written[:4].lower() == "www." else written
    if any(url == one or (one.endswith("/") and url.startswith(one)) for one in allowed):
        return match[0]
    count[0] += 1
    return "[link removed]"
