"""The words of one answer in a comparison, for whoever may read now everything that they may quote.

Rule: one read of the last wall for each corpus decides; the quoted words are what the wall gave back, not what was kept
with the answer. Fail mode: a place that is none, or a passage that did not come back, hides the whole side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.core.ids import CorpusName
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.side_by_side import quoted, sources_of
from pilotage.guard.citations import statements_of
from pilotage.store.compared_cases import CaseAnswer
from pilotage.store.passages import Place, Reader, StoredPassage, read_passages

_LONGEST: Final = 400
"""Characters of an answer in a list; a single case shows all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One mark of an answer with the passage it leads to, and the words it rests on."""

    marker: int
    corpus: CorpusName
    rev: int
    chunk: int
    document: str
    title: str
    section: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SideTexts:
    """`answer` None: `hidden` says how many passages the viewer may not read, or `gone` why there is none.

    `behind` is how many passages an answer that is shown may quote.
    """

    answer: str | None = None
    is_cut: bool = False
    quotes: tuple[Quote, ...] = ()
    hidden: str = ""
    gone: str = ""
    behind: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the words for the API."""
        return {
            "answer": self.answer,
            "cut": self.is_cut,
            "hidden": self.hidden or None,
            "gone": self.gone or None,
            "cited": [
                {"marker": one.marker, "document": one.document, "section": one.section, "words": one.words}
                for one in self.quotes
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """The passages that the viewer may read now, of all that the answers of a page may quote."""

    passages: Mapping[CorpusName, Mapping[Place, StoredPassage]]

    @classmethod
    def ask(
        cls,
        connection: Connection,
        answers: Iterable[CaseAnswer],
        names: frozenset[str],
        since: Mapping[CorpusName, datetime | None],
    ) -> Wall:
        """Ask for every passage behind these answers."""
        wanted: dict[CorpusName, set[Place]] = {}
        for one in answers:
            if one.generation is not None and one.corpus is not None:
                wanted.setdefault(one.corpus, set()).update(_known(_places(one.generation)))
        return cls(
            passages={
                corpus: read_passages(
                    connection, corpus, sorted(places), Reader(names=names, confirmed_since=since[corpus])
                )
                for corpus, places in sorted(wanted.items())
                if places
            }
        )


def side_texts(answer: CaseAnswer, wall: Wall, *, is_whole: bool) -> SideTexts:
    """Return the words of an answer, or why this viewer does not get them."""
    given = answer.generation
    if given is None:
        return SideTexts(gone="It was not answered." if answer.error else "The answer was removed.")
    if given.error is not None:
        return SideTexts(gone="It was not answered.")
    places = _places(given)
    held = wall.passages.get(answer.corpus, {}) if answer.corpus is not None else {}
    unread = sum(place is None or place not in held for place in places)
    if unread:
        passages = f"{unread} of {len(places)} passages" if len(places) > 1 else "a passage"
        return SideTexts(hidden=f"It may quote {passages} that you may not read now.")
    text = given.answer
    is_cut = len(text) > _LONGEST and not is_whole
    return SideTexts(
        answer=f"{text[:_LONGEST].rsplit(' ', 1)[0]} …" if is_cut else text,
        is_cut=is_cut,
        quotes=_quotes(given, answer.corpus, held),
        behind=len(places),
    )


def _quotes(given: Generation, corpus: CorpusName | None, held: Mapping[Place, StoredPassage]) -> tuple[Quote, ...]:
    if corpus is None:
        return ()
    said: dict[int, str] = {}
    for statement in statements_of(given.answer):
        for marker in statement.markers:
            said.setdefault(marker, statement.text)
    found = []
    for one in given.citations:
        place = _place(one.chunk)
        passage = None if place is None else held.get(place)
        if passage is None:
            continue
        found.append(
            Quote(
                marker=one.marker,
                corpus=corpus,
                rev=passage.rev,
                chunk=passage.ordinal,
                document=passage.document,
                title=passage.title or passage.document,
                section=passage.section,
                words=quoted(said.get(one.marker, ""), passage.text),
            )
        )
    return tuple(found)


def _places(given: Generation) -> list[Place | None]:
    """Return where the passages stand that an answer may quote, each once; None for one that cannot be looked up."""
    return list(dict.fromkeys(_place(one.chunk) for one in sources_of(given)))


def _known(places: Collection[Place | None]) -> Iterable[Place]:
    return (one for one in places if one is not None)


def _place(chunk: str) -> Place | None:
    rev, _, ordinal = chunk.partition(":")
    return (int(rev), int(ordinal)) if rev.isdecimal() and ordinal.isdecimal() else None
