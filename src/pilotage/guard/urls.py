"""URLs of an answer: only a cited document's own, or one on the allow-list; Markdown images and HTML never."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,2000}\)")
_LINK = re.compile(r"\[([^\]\n]{1,500})\]\((?:[^)\n]{0,2000})\)")
_TAG = re.compile(r"<(?![A-Z][A-Z_]{1,20}_\d+>)/?[a-zA-Z][^<>]{0,2000}>")
_URL = re.compile(r"\b(?:https?|ftp|file|data|javascript):(?://)?[^\s<>\"')\]]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripped:
    """The text without what may not stand in it, and how many places were removed."""

    text: str
    removed: int


def strip_urls(text: str, *, allowed: Collection[str]) -> Stripped:
    """Remove images, HTML and every URL that is not allowed; an allowed entry ending in `/` allows what is below it."""
    without, images = _IMAGE.subn("", text)
    without, tags = _TAG.subn("", without)
    count = images + tags

    def keep(match: re.Match[str]) -> str:
        nonlocal count
        url = match.group().rstrip(".,;:")
        if any(url == one or (one.endswith("/") and url.startswith(one)) for one in allowed):
            return match.group()
        count += 1
        return "[link removed]"

    plain = _LINK.sub(lambda found: found[1] if not _URL.search(found.group()) else found.group(), without)
    return Stripped(text=_URL.sub(keep, plain), removed=count)
