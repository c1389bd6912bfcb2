"""Which texts are known to hold nothing: one request has the same question and the same answer looked at many times.

Rule: only the digest of a text in which nothing at all was recognised is kept, never a text and never a value, so
nothing can be read back from it and nothing of a document stays. Fail mode: a full memo starts anew; a text that is not
in it is looked at.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, TypeAlias

ENTRIES: Final = 8_192
Name: TypeAlias = "tuple[bytes, frozenset[str]]"


class PlainTexts:
    """The texts in which nothing was recognised, by name. Threads share it: each step is one of the interpreter."""

    def __init__(self) -> None:
        self._names: dict[Name, None] = {}

    def __contains__(self, name: Name) -> bool:
        """Tell whether nothing was recognised in the text of this name."""
        return name in self._names

    def keep(self, name: Name) -> None:
        """Remember that nothing was."""
        if len(self._names) >= ENTRIES:
            self._names = {}
        self._names[name] = None


def name_of(text: str, regions: frozenset[str]) -> Name:
    """Return what a text is remembered by: its digest, and the regions whose forms were looked for."""
    return blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=32).digest(), regions
