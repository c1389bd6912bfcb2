"""`/api/v1/corpora`."""

from __future__ import annotations

from datetime import date

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.corpus_reports import diff_versions, list_versions, version_as_json
from pilotage.control.refresh_corpus import refresh_corpus
from pilotage.control.review_version import accept_version, reject_version
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal


class Refreshing(Body):
    """`accept`: accept at once; for a steward, where review is single."""

    accept: bool = False


class Note(Body):
    """Why."""

    note: str = ""


class Rejecting(Body):
    """Why the version is rejected."""

    note: str


class Diffing(Body):
    """Versions to compare; without them the newest against the one it follows. `words`: also what changed inside."""

    a: int | None = None
    b: int | None = None
    words: bool = False


class PagingVersions(Body):
    """`page`: the key that the page before ended with."""

    page: str | None = None


class Searching(Body):
    """What to look for, as the caller may see it."""

    question: str
    version: int | None = None
    as_of: date | None = None
    top: int = 10


def _versions(call: Call) -> Result:
    corpus = CorpusName(call.params["name"])
    return list_versions(call.instance, corpus=corpus, before=call.fields.page).as_json()


def _diff(call: Call) -> Result:
    wanted: Diffing = call.fields
    corpus = CorpusName(call.params["name"])
    return diff_versions(
        call.instance, actor=call.actor, corpus=corpus, a=wanted.a, b=wanted.b, words=wanted.words
    ).as_json()


def _search(call: Call) -> Result:
    asked: Searching = call.fields
    wanted = Search(question=asked.question, version=asked.version, as_of=asked.as_of, top=asked.top)
    found = search_corpus(call.instance, actor=call.actor, corpus=call.params["name"], wanted=wanted)
    return {"passages": [one.as_json() for one in found]}


def _refresh(call: Call) -> Result:
    done = refresh_corpus(
        call.instance,
        actor=call.actor,
        corpus=CorpusName(call.params["name"]),
        accept=call.fields.accept,
        tools=call.services.refresh_tools(call.instance),
    )
    return done if isinstance(done, Refusal) else done.as_json()


def _accept(call: Call) -> Result:
    done = accept_version(
        call.instance,
        actor=call.actor,
        corpus=CorpusName(call.params["name"]),
        version=_number(call),
        note=call.fields.note,
    )
    return done if isinstance(done, Refusal) else version_as_json(done)


def _reject(call: Call) -> Result:
    done = reject_version(
        call.instance,
        actor=call.actor,
        corpus=CorpusName(call.params["name"]),
        version=_number(call),
        note=call.fields.note,
    )
    return done if isinstance(done, Refusal) else version_as_json(done)


def _number(call: Call) -> int:
    text = call.params["version"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound("VERSION_UNKNOWN", f"{text[:20]!r} is no version number.")
    return int(text)


OPERATIONS = (
    Operation(
        method="GET",
        path="/corpora/{name}/versions",
        command="corpus versions",
        summary="List the versions of a corpus",
        gives="A page of versions, newest first, with counts and who decided; the key of the next page.",
        run=_versions,
        takes=PagingVersions,
    ),
    Operation(
        method="GET",
        path="/corpora/{name}/diff",
        command="corpus diff",
        summary="Compare two versions",
        gives="Document ids by what happened to them; words only of documents the caller may read.",
        run=_diff,
        takes=Diffing,
    ),
    Operation(
        method="GET",
        path="/corpora/{name}/search",
        command="corpus search",
        summary="Find passages as the caller may see them",
        gives="Passages, best first.",
        run=_search,
        takes=Searching,
    ),
    Operation(
        method="POST",
        path="/corpora/{name}/refreshes",
        command="corpus refresh",
        summary="Read the source into a new version",
        gives="What was added, changed, removed and rejected.",
        run=_refresh,
        takes=Refreshing,
    ),
    Operation(
        method="POST",
        path="/corpora/{name}/versions/{version}/acceptance",
        command="corpus accept",
        summary="Accept a proposed version",
        gives="The version.",
        run=_accept,
        takes=Note,
    ),
    Operation(
        method="POST",
        path="/corpora/{name}/versions/{version}/rejection",
        command="corpus reject",
        summary="Reject a proposed version, with the reason",
        gives="The version.",
        run=_reject,
        takes=Rejecting,
    ),
)
