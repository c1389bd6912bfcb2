"""Text to search terms: one rule for documents and questions (corpus-and-ledger.md 1.3).

NFKC, case fold, runs of letters and digits; `1,000` is `1000`; a possessive `'s` is dropped; in English a final `s` is
dropped from words of more than three letters that do not end in `ss`; Han, Kana and Hangul become bigrams. The rule is
part of a release's retrieval settings by `ANALYSER_ID`: change a rule, change the id. Fail mode: text without letters
or digits has no terms, so it matches nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

ANALYSER_ID = "pilotage-analyser/1"

# Bigram scripts after NFKC (half-width forms and compatibility letters are already folded into these blocks).
_HAN = r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = r"\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_HANGUL = r"\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
_BIGRAM_RUN = re.compile(rf"[{_HAN}{_KANA}{_HANGUL}]+")

# Both patterns start with a literal, so the engine jumps from one comma or apostrophe to the next.
_THOUSANDS = re.compile(r",(?<=[0-9],)(?=[0-9]{3}(?![0-9]))")
_POSSESSIVE = re.compile(r"'s(?<=[^\W_]'s)(?![^\W_])")
_FOREIGN_RUN = re.compile(r"[^\x00-\x7f]+")
_NO_WORD = re.compile(r"[^\w']")

# A long text is counted in stretches, as a list of all its words would take a hundred times its size.
_AT_ONCE = 1 << 14  # characters
_BREAK = re.compile(r"[\s\u3001\u3002]")  # no term reaches over one of these
_SHORT_RUN = 256  # characters; longer runs outside ASCII do not come back, so they are not kept

# ASCII is folded and cut as bytes: one table, no loop in Python. Bytes of other letters pass through.
_MARK = "\x01"  # stands between texts that are counted together; never in normal text, no letter, no white space
_ASCII_FOLD = bytes(
    byte
    if byte >= 0x80 or byte == ord(_MARK) or chr(byte).isdigit() or chr(byte).islower()
    else byte + 32
    if chr(byte).isupper()
    else 32
    for byte in range(256)
)


def analyse(text: str, *, language: str) -> list[str]:
    """Return the terms of `text` in order, with repeats. `language` is a BCP 47 tag; only English has a suffix rule."""
    words = _split(text.replace(_MARK, " "))
    if language == "en" or language.startswith("en-"):
        return [
            word[:-1] if word[-1] == "s" and len(word) > 3 and word[-2] != "s" else word  # credits, not access or gas
            for word in words
        ]
    return words


def count_terms(text: str) -> int:
    """Return `len(analyse(text, ...))`, which no language rule changes."""
    return sum(len(_split(part)) for part in _stretches(text)) if len(text) > _AT_ONCE else len(_split(text))


def count_each(texts: Iterable[str]) -> Iterator[int]:
    """Yield `count_terms` of several texts at the price of a pass over many. The texts are in normal form."""
    batch: list[str] = []
    size = 0
    for text in texts:
        size += len(text)
        if batch and size > _AT_ONCE:
            yield from _count(batch)
            batch, size = [], len(text)
        batch.append(text)
    yield from _count(batch)


def _count(texts: Sequence[str]) -> list[int]:
    if len(texts) < 2:
        return [count_terms(text) for text in texts]
    words = _split(f" {_MARK} ".join(texts))
    counts: list[int] = []
    start = 0
    for _ in range(len(texts) - 1):
        mark = words.index(_MARK, start)
        counts.append(mark - start)
        start = mark + 1
    counts.append(len(words) - start)
    return counts


def _stretches(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        found = _BREAK.search(text, start + _AT_ONCE)
        end = found.end() if found else len(text)
        yield text[start:end]
        start = end


def _split(text: str) -> list[str]:
    if not text.isascii():
        text = _FOREIGN_RUN.sub(_foreign, unicodedata.normalize("NFKC", text))
    if "," in text:
        text = _THOUSANDS.sub("", text)
    if "'" in text:
        text = _POSSESSIVE.sub("", text.replace("'S", "'s"))
    return text.encode("utf-8", "replace").translate(_ASCII_FOLD).decode().split()


def _foreign(match: re.Match[str]) -> str:
    run = match[0]
    return _fold_short(run) if len(run) <= _SHORT_RUN else _fold_run(run)


@lru_cache(maxsize=16_384)
def _fold_short(run: str) -> str:
    return _fold_run(run)


def _fold_run(run: str) -> str:
    """Fold a run outside ASCII: letters folded, punctuation to spaces, bigram scripts cut into overlapping pairs."""
    folded = _NO_WORD.sub(" ", run.casefold().replace("\u2019", "'"))
    return _BIGRAM_RUN.sub(_bigrams, folded)


def _bigrams(match: re.Match[str]) -> str:
    word = match[0]
    pairs = [word[index : index + 2] for index in range(len(word) - 1)] or [word]
    return f" {' '.join(pairs)} "
