"""Corpus versions: what changed, and accept or reject a proposed one.

Rule: ids and counts are for every member; who may decide is said by `corpus_duties`, and a control that may not be used
is printed with the reason. Fail mode: the form again, with every reason; nothing recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Final

from sqlalchemy import Connection

from pilotage.console.prose import show_invisible
from pilotage.console.render import shortened
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.corpus_duties import corpus_roles, may_accept, may_decide, settings_of
from pilotage.control.corpus_reports import DiffReport, diff_versions, list_versions
from pilotage.control.review_version import accept_version, reject_version
from pilotage.control.take_down import TakedownRequest, take_down
from pilotage.core.canonical import Json
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.diff import SectionDiff
from pilotage.corpus.settings import CorpusSettings
from pilotage.corpus.version import VersionState
from pilotage.identity.roles import Action, may
from pilotage.store.corpora import StoredVersion, last_confirmed, version_of
from pilotage.store.takedowns import newest_takedowns

MUCH: Final = 0.2
"""The share of a corpus above which whoever accepts types how many documents come and go."""

MOST_TEXTS: Final = 20
"""Documents whose words the page shows."""

MOST_BYTES: Final = 100_000
"""Of those words, each document an equal share: the page stays below 250 KB."""

_MARKUP: Final = 40
"""Bytes around a piece of text, about."""


def show_version(visit: Visit) -> Page:
    """Show one version against the one it follows, with the decision form."""
    corpus, number = _place(visit)
    settings = settings_of(visit.instance, corpus)
    report = diff_versions(visit.reading, actor=visit.actor, corpus=corpus, b=number, words=True, most=MOST_TEXTS)
    version = report.version
    accept = may_accept(settings, visit.actor, triggered_by=version.created_by)
    reject = may_decide(settings, visit.actor)
    is_open = version.state is VersionState.PROPOSED
    texts, cut = shown_words(report.words if report.a else {})
    widened = {document: change for document, change in report.diff.acl.items() if change.added}
    return Page(
        template="version.html",
        title=f"{corpus} version {number}",
        values={
            "settings": settings,
            "version": version,
            "diff": report.diff,
            "before": report.a,
            "texts": texts,
            "cut": cut,
            "whole": MOST_TEXTS,
            "widened": widened,
            "narrowed": {document: change for document, change in report.diff.acl.items() if document not in widened},
            "to_type": _to_type(report),
            "summary": version.summary,
            "rejected": _rows(version.summary.get("rejected")),
            "may_not_accept": _why_not(accept, is_open=is_open, version=version),
            "may_not_reject": _why_not(reject, is_open=is_open, version=version),
        },
    )


def shown_words(
    texts: Mapping[str, Sequence[SectionDiff]],
) -> tuple[dict[str, tuple[SectionDiff, ...]], frozenset[str]]:
    """Return as much of each document's words as its share holds, and the documents that are cut."""
    share = MOST_BYTES // max(1, len(texts))
    found = {document: _fitting(sections, share) for document, sections in texts.items()}
    return found, frozenset(document for document, sections in texts.items() if found[document] != tuple(sections))


def _fitting(sections: Sequence[SectionDiff], room: int) -> tuple[SectionDiff, ...]:
    """Return sections, pieces and words in their order until `room` bytes are filled."""
    found: list[SectionDiff] = []
    for one in sections:
        room -= _bytes(one.section) + _MARKUP
        kept: list[tuple[str, str]] = []
        for op, words in one.words:
            fits = _words_in(shortened(words) if op == "=" else words, room - _MARKUP)
            room -= _bytes(fits) + _MARKUP
            kept += [(op, words)] if fits in {words, shortened(words)} else [(op, fits)] if fits else []
            if room <= 0 or kept[-1:] != [(op, words)]:
                return (*found, replace(one, words=tuple(kept)))
        found.append(one)
    return tuple(found)


def _words_in(text: str, room: int) -> str:
    kept = []
    for word in text.split(" "):
        room -= _bytes(word) + 1
        if room < 0:
            break
        kept.append(word)
    return " ".join(kept)


def _bytes(text: str) -> int:
    """Return how long a text is on the page."""
    return len(escape(show_invisible(text)).encode())


def show_versions(visit: Visit) -> Page:
    """Show a page of the versions of a corpus, newest first."""
    corpus = CorpusName(visit.params["name"])
    found = list_versions(visit.reading, corpus=corpus, before=visit.query.get("page"))
    settings = settings_of(visit.instance, corpus)
    with visit.reading.engine.connect() as connection:
        confirmed = last_confirmed(connection, [corpus]).get(corpus)
        takedowns = _takedowns(visit, connection, settings)
    limit = settings.acl_max_age
    return Page(
        template="corpus.html",
        title=f"Corpus {corpus}",
        values={
            "settings": settings,
            "found": found,
            **takedowns,
            "is_first": visit.query.get("page") is None,
            "confirmed": confirmed,
            "stale_after": None if confirmed is None or limit is None else confirmed + limit,
        },
    )


def take_out(visit: Visit) -> Reply | Refusal:
    """Hide a document now; the worker erases it."""
    name, document = visit.params["name"], visit.typed("document").strip()
    if not document:
        raise UsageError("DOCUMENT_MISSING", "Name the document to take down.", hint="Its id, as passages show it.")
    request = TakedownRequest(
        corpus=CorpusName(name),
        document=document,
        reason=visit.typed("reason"),
        include_duplicates=visit.typed("duplicates") == "yes",
        hold=visit.typed("hold") == "yes",
    )
    done = take_down(visit.instance, actor=visit.actor, request=request)
    return done if isinstance(done, Refusal) else Redirect(to=f"/corpora/{name}?taken={done.takedown}#takedown")


def _takedowns(visit: Visit, connection: Connection, settings: CorpusSettings) -> dict[str, object]:
    """Return what stands about takedowns: the documents only for whoever may take one down."""
    refusal = may(corpus_roles(settings, visit.actor), Action.TAKE_DOWN)
    found = newest_takedowns(connection, settings.name, most=20) if refusal is None else ()
    return {
        "takedowns": found,
        "may_not_take_down": () if refusal is None else refusal.reasons,
        "taken": next((one for one in found if one.id == visit.query.get("taken")), None),
    }


def decide(visit: Visit) -> Reply | Refusal:
    """Accept or reject, as the form says."""
    corpus, number = _place(visit)
    note = visit.typed("note").strip()
    match visit.typed("decision"):
        case "accept":
            _check_typed(visit, corpus, number)
            done = accept_version(visit.instance, actor=visit.actor, corpus=corpus, version=number, note=note)
        case "reject":
            if not note:
                raise UsageError("NOTE_MISSING", "A rejection needs its reason.", hint="Write why below.")
            done = reject_version(visit.instance, actor=visit.actor, corpus=corpus, version=number, note=note)
        case _:
            raise UsageError("DECISION_MISSING", "Choose whether to accept or to reject this version.")
    return done if isinstance(done, Refusal) else Redirect(to=f"/corpora/{corpus}/versions/{number}")


def _to_type(report: DiffReport) -> int | None:
    """Return the number that whoever accepts must type: added plus removed, where much of a corpus changes."""
    found = report.diff
    moved = len(found.added) + len(found.removed)
    return moved if report.a and moved + len(found.changed) > MUCH * report.held else None


def _check_typed(visit: Visit, corpus: CorpusName, number: int) -> None:
    """Raise UsageError unless the number stands there that the form asks for; who may not accept is told that first."""
    with visit.reading.engine.connect() as connection:
        version = version_of(connection, corpus, number)
    if version is None or version.state is not VersionState.PROPOSED:
        return
    if may_accept(settings_of(visit.instance, corpus), visit.actor, triggered_by=version.created_by) is not None:
        return
    wanted = _to_type(diff_versions(visit.reading, actor=visit.actor, corpus=corpus, b=number))
    if wanted is not None and visit.typed("confirmed").strip() != str(wanted):
        message = f"Type {wanted}, the number of documents that are added or removed, to accept so large a change."
        raise UsageError("CONFIRMATION", message)


def _place(visit: Visit) -> tuple[CorpusName, int]:
    number = visit.params["version"]
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise NotFound("VERSION_UNKNOWN", f"{number[:20]!r} is no version number.")
    return CorpusName(visit.params["name"]), int(number)


def _why_not(refusal: Refusal | None, *, is_open: bool, version: StoredVersion) -> tuple[Reason, ...]:
    if not is_open:
        text = f"This version is {version.state.value}; only a proposed one can be decided."
        return (Reason(code="VERSION_DECIDED", text=text),)
    return () if refusal is None else refusal.reasons


def _rows(value: Json) -> list[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
