"""Passage: the words a citation leads to, for whoever may read them now; for everybody else there is nothing here."""

from __future__ import annotations

from markupsafe import Markup, escape

from pilotage.console.prose import show_invisible
from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName
from pilotage.identity.principal import acl_names
from pilotage.store.passages import Reader, read_passages

_DIGITS = 12


def show_passage(visit: Visit) -> Page:
    """Show one passage with the quoted words marked."""
    corpus, rev, ordinal = visit.params["name"], visit.params["rev"], visit.params["chunk"]
    found = None
    if CorpusName(corpus) in visit.instance.workspace.corpora and _is_number(rev) and _is_number(ordinal):
        place = (int(rev), int(ordinal))
        since = visit.instance.workspace.acls_confirmed_since(CorpusName(corpus), visit.instance.clock.now())
        reader = Reader(names=acl_names(visit.actor), confirmed_since=since)
        with visit.reading.engine.connect() as connection:
            found = read_passages(connection, CorpusName(corpus), [place], reader).get(place)
    if found is None:
        raise NotFound("PASSAGE_UNKNOWN", "There is no such passage that you may read.")
    return Page(
        template="passage.html",
        title=found.title or found.document,
        values={
            "corpus": visit.instance.workspace.corpora[CorpusName(corpus)],
            "passage": found,
            "paragraphs": _marked(found.text, visit.query.get("quote", "")),
        },
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _marked(text: str, quote: str) -> list[Markup]:
    """Return the paragraphs; the quoted words stand in <mark> where they are found."""
    wanted = " ".join(quote.split())
    return [_one(paragraph, wanted) for paragraph in text.split("\n\n") if paragraph.strip()]


def _one(paragraph: str, wanted: str) -> Markup:
    plain = " ".join(paragraph.split())
    place = plain.find(wanted) if wanted else -1
    if place < 0:
        return escape(show_invisible(paragraph))
    before, after = plain[:place], plain[place + len(wanted) :]
    return Markup("{}<mark>{}</mark>{}").format(*map(show_invisible, (before, wanted, after)))
