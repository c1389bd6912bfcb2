"""Cuts a parsed document into passages (corpus-and-ledger.md 1.3).

A passage is whole paragraphs or sentences of ONE section, about 220 analyser tokens and never more than 320. The next
one repeats the last sentence (<= 40 tokens), so an answer that spans a cut is found whole. A table stays whole up to
320 tokens, then splits by rows with its header repeated. A rest below 20 tokens joins its neighbour where the maximum
allows. Fail mode: text without any letter or digit gives no passage and so answers nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

from pilotage.corpus.analyser import count_each, count_terms
from pilotage.corpus.records import Chunk, Paragraph, ParsedDocument, Section, Table
from pilotage.corpus.sentences import sentence_spans
from pilotage.corpus.text import content_hash

CHUNKER_ID = "pilotage-chunker/1"
TARGET_TOKENS = 220
MAX_TOKENS = 320
MIN_TOKENS = 20
MAX_OVERLAP_TOKENS = 40

# Between these, whatever the script, a cut changes no term but the pair across it.
_PIECE = re.compile(r"\S+\s*")
_LONG_WORD = 160
_LONG_HEADER = 4_000  # characters: one of signs without a term would be repeated as often as there are parts
_OVERLAP_REACHES = (160, 400)  # characters in which most sentences, and all of 40 tokens, end and start


@dataclass(slots=True)
class _Unit:
    """A stretch `[start, end)` of the section text that is not cut again; `alone` for a part of a split table.

    `is_cut`: it ends inside a word or a run of bigrams, so tokens do not simply add up.
    """

    start: int
    end: int
    tokens: int
    prose: bool = True
    is_cut: bool = False
    alone: bool = False
    prefix: str = ""


@dataclass(slots=True)
class _Draft:
    start: int
    end: int
    tokens: int
    is_cut: bool
    fresh: int
    prose: bool
    alone: bool
    prefix: str


def chunk_document(document: ParsedDocument) -> tuple[Chunk, ...]:
    """Return the passages of a document in reading order, numbered from 0."""
    chunks: list[Chunk] = []
    offset = 0
    for section in document.sections:
        text = section.text
        heading = section.heading
        for draft in _pack(text, _units(section)):
            body = draft.prefix + text[draft.start : draft.end]
            chunks.append(
                Chunk(
                    ordinal=len(chunks),
                    section=heading,
                    text=body,
                    start=offset + draft.start,
                    end=offset + draft.end,
                    tokens=count_terms(body) if draft.is_cut else draft.tokens,
                    content_hash=content_hash(heading, body),
                )
            )
        offset += len(text) + 2
    return tuple(chunks)


def _units(section: Section) -> Iterator[_Unit]:
    offset = 0
    texts = [block.text for block in section.blocks]
    for block, text, tokens in zip(section.blocks, texts, count_each(texts), strict=True):
        if tokens and tokens <= MAX_TOKENS:
            yield _Unit(offset, offset + len(text), tokens, prose=isinstance(block, Paragraph))
        elif tokens and isinstance(block, Table):
            yield from _table_parts(block, offset)
        elif tokens:
            yield from _sentences(text, offset)
        offset += len(text) + 2


def _sentences(text: str, offset: int) -> Iterator[_Unit]:
    spans, again = tee(sentence_spans(text))
    counts = count_each(text[start:end] for start, end in again)
    for (start, end), tokens in zip(spans, counts, strict=True):
        if tokens <= MAX_TOKENS:
            yield _Unit(offset + start, offset + end, tokens)
        else:
            yield from _cut(text[start:end], offset + start, TARGET_TOKENS)


def _cut(text: str, offset: int, room: int) -> Iterator[_Unit]:
    """Cut what has no sentence ends: at white space, and inside a word only when it alone is too long."""
    start = end = tokens = 0
    pieces, again = tee(_pieces(text))
    counts = count_each(text[begin:stop] for begin, stop in again)
    for (begin, stop), more in zip(pieces, counts, strict=True):
        if tokens and tokens + more > room:
            yield _Unit(offset + start, offset + end, tokens, is_cut=True)
            start, tokens = begin, 0
        end, tokens = stop, tokens + more
    yield _Unit(offset + start, offset + end, tokens, is_cut=True)


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    for match in _PIECE.finditer(text):
        begin, word_end = match.start(), match.start() + len(match[0].rstrip())
        for at in range(begin, word_end, _LONG_WORD):
            yield at, min(at + _LONG_WORD, word_end)


def _table_parts(table: Table, offset: int) -> Iterator[_Unit]:
    """Split a table by rows; each part repeats the header, unless it leaves no room for a row or has no end."""
    header = table.header
    header_tokens = count_terms(header)
    if header_tokens > MAX_TOKENS // 2 or len(header) > _LONG_HEADER:
        header, header_tokens = "", 0
        rows = (table.header, *table.rows)
        at = offset
    else:
        rows = table.rows
        at = offset + (len(table.header) + 1 if table.header else 0)
    prefix = f"{header}\n" if header else ""
    start, end, tokens = at, at, header_tokens
    for row in rows:
        more = count_terms(row)
        if tokens + more > MAX_TOKENS and end > start:
            yield _Unit(start, end, tokens, prose=False, alone=True, prefix=prefix)
            start, tokens = at, header_tokens
        if header_tokens + more > MAX_TOKENS:
            for piece in _cut(row, at, MAX_TOKENS - header_tokens):
                yield _Unit(
                    piece.start, piece.end, header_tokens + piece.tokens, prose=False, alone=True, prefix=prefix
                )
            start = end = at + len(row) + 1
            tokens = header_tokens
        else:
            end, tokens = at + len(row), tokens + more
        at += len(row) + 1
    if end > start:
        yield _Unit(start, end, tokens, prose=False, alone=True, prefix=prefix)


def _pack(text: str, units: Iterable[_Unit]) -> list[_Draft]:
    drafts: list[_Draft] = []
    for unit in units:
        last = drafts[-1] if drafts else None
        if last is not None and _joins(last, unit):
            last.end, last.tokens = unit.end, last.tokens + unit.tokens
            last.fresh += unit.tokens
            last.is_cut |= unit.is_cut
            last.prose = unit.prose
            continue
        start, tokens = unit.start, unit.tokens
        if last is not None and last.prose and unit.prose:
            start, overlap = _overlap(text, last, unit)
            tokens += overlap
        drafts.append(_Draft(start, unit.end, tokens, unit.is_cut, unit.tokens, unit.prose, unit.alone, unit.prefix))
    return drafts


def _joins(last: _Draft, unit: _Unit) -> bool:
    """Tell whether the unit still belongs to the passage: up to the target, or up to the maximum to save a rest."""
    if last.alone or unit.alone:
        return False
    together = last.tokens + unit.tokens
    small = unit.tokens < MIN_TOKENS or last.fresh < MIN_TOKENS
    return together <= (MAX_TOKENS if small else TARGET_TOKENS)


def _overlap(text: str, last: _Draft, unit: _Unit) -> tuple[int, int]:
    """Return where the repeated last sentence starts and its tokens; the unit's own start when none fits."""
    start = _last_sentence(text, last.start, last.end)
    if start is not None:
        tokens = count_terms(text[start : last.end])
        if tokens <= MAX_OVERLAP_TOKENS and tokens + unit.tokens <= MAX_TOKENS:
            return start, tokens
    return unit.start, 0


def _last_sentence(text: str, start: int, end: int) -> int | None:
    """Return where the last sentence of a passage starts; None when it is the whole passage or longer than we look."""
    for reach in _OVERLAP_REACHES:
        begin = max(start, end - reach)
        spans = list(sentence_spans(text[begin:end]))
        if len(spans) > 1:
            return begin + spans[-1][0]
    return None
