"""Cases of a comparison as cards, so many on a page and each so long as a page may weigh (console.md 7).

Rule: weights are bytes as printed, escaped and with invisible characters shown. A list ends at 120,000 of them, a card
in it at 14,000; marks of a listed answer are no links. Fail mode: what is longer is cut and ends in "...".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from pilotage.console.prose import render_answer, show_invisible
from pilotage.control.compared_case import CaseSide, ComparedCase
from pilotage.control.compared_texts import Quote

LIST_BYTES: Final = 120_000
_FRAME: Final = 2_000
"""Bytes of a card beside its texts, its ids and its metrics."""
_TITLE: Final = 80
_DOTS: Final = "..."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes of each text of a card; `quotes` is a number of them."""

    question: int
    facts: int
    names: int
    answer: int
    quotes: int
    words: int
    title: int
    address: int


LISTED: Final = Limits(
    question=1_000, facts=1_000, names=500, answer=1_500, quotes=2, words=300, title=200, address=200
)
ALONE: Final = Limits(
    question=6_000, facts=6_000, names=3_000, answer=30_000, quotes=20, words=1_300, title=320, address=400
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardQuote:
    """One mark of an answer: where it leads, and the words it rests on."""

    marker: int
    address: str
    title: str
    section: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSide:
    """One side of a card; `more` passages are cited beside the quotes."""

    side: CaseSide
    answer: Markup
    is_cut: bool
    quotes: tuple[CardQuote, ...]
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One case as the page prints it; `size` is at least its bytes."""

    one: ComparedCase
    asker: str
    question: str
    facts: str
    documents: str
    tags: str
    before: CardSide
    after: CardSide

    @property
    def size(self) -> int:
        """Bytes of the card, rather more than fewer."""
        texts = [self.asker, self.question, self.facts, self.documents, self.tags, self.one.facts_hidden]
        texts += [*self.one.change.worse, *self.one.change.better]
        for side in (self.before, self.after):
            texts += [side.side.texts.hidden, side.side.texts.gone]
            for each in side.quotes:
                texts += [each.address, each.title, each.section, each.words, " " * 120]
        answers = sum(len(side.answer.encode()) for side in (self.before, self.after))
        return _FRAME + 6 * len(self.one.case.id) + answers + sum(map(weight, texts))


def cards_of(cases: Sequence[ComparedCase], more: str, *, is_alone: bool) -> tuple[tuple[Card, ...], str]:
    """Return the cards that a page carries, one at least, and after which id others stand."""
    found: list[Card] = []
    size = 0
    for one in cases:
        card = _card(one, ALONE if is_alone else LISTED)
        size += card.size
        if found and size > LIST_BYTES:
            return tuple(found), found[-1].one.case.id
        found.append(card)
    return tuple(found), more


def weight(text: str) -> int:
    """Return the bytes of a text as a page prints it."""
    return len(escape(show_invisible(text)).encode())


def cut(text: str, most: int) -> str:
    """Return a text that prints in so many bytes, with dots where it was longer."""
    if weight(text) <= most:
        return text
    left, kept = most - len(_DOTS), 0
    for kept, one in enumerate(text):  # noqa: B007 - read behind the loop
        left -= weight(one)
        if left < 0:
            break
    return text[:kept] + _DOTS


def _card(one: ComparedCase, limits: Limits) -> Card:
    return Card(
        one=one,
        asker=cut(one.asker or "", 120),
        question=cut(one.question or "", limits.question),
        facts=cut("; ".join(one.facts or ()), limits.facts),
        documents=cut(", ".join(one.documents), limits.names),
        tags=cut(", ".join(one.tags or ()), limits.names),
        before=_side(one.before, limits),
        after=_side(one.after, limits),
    )


def _side(side: CaseSide, limits: Limits) -> CardSide:
    quotes = tuple(_quote(each, limits) for each in side.texts.quotes[: limits.quotes])
    links = {each.marker: each.address for each in quotes} if limits is ALONE else {}
    answer, is_whole = _answer(side.texts.answer or "", links, limits.answer)
    return CardSide(
        side=side,
        answer=answer,
        is_cut=side.texts.is_cut or not is_whole,
        quotes=quotes,
        more=len(side.texts.quotes) - len(quotes),
    )


def _answer(text: str, links: dict[int, str], most: int) -> tuple[Markup, bool]:
    """Return an answer as HTML and whether it is whole: with links, without any, or cut as plain text."""
    for each in (links, {}):
        found = render_answer(text, each)
        if len(found.encode()) <= most:
            return found, True
    plain = cut(text, most - len("<p></p>"))
    return Markup("<p>{}</p>").format(show_invisible(plain)), plain == text


def _quote(one: Quote, limits: Limits) -> CardQuote:
    return CardQuote(
        marker=one.marker,
        address=_address(one, limits.address),
        title=cut(_named(one.title), limits.title),
        section=cut(_named(one.section), limits.title),
        words=cut(one.words, limits.words),
    )


def _named(text: str) -> str:
    return text if len(text) <= _TITLE else text[: _TITLE - len(_DOTS)] + _DOTS


def _address(one: Quote, most: int) -> str:
    """Return where a mark leads: the passage with as many of the quoted words marked as find it."""
    words = one.words[:_TITLE]
    while len(quote(words, safe="")) > most:
        words = words[: len(words) * 3 // 4]
    return f"/corpora/{quote(one.corpus, safe='')}/passages/{one.rev}/{one.chunk}?{urlencode({'quote': words})}"
