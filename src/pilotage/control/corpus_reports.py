"""`pilotage corpus versions|diff`: what versions exist, and what changed between any two.

Rule: ids and counts are for every member; the words of a document only for who may read it now. Fail mode: a document
whose readers do not include the asker, or whose text was purged, is listed without words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pyroaring import BitMap
from sqlalchemy import Connection

from pilotage.control.corpus_duties import settings_of
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName
from pilotage.corpus.diff import AclChange, Held, SectionDiff, VersionDiff, diff_revisions, word_diff
from pilotage.corpus.version import VersionState
from pilotage.identity.principal import Principal, acl_names
from pilotage.store.acl_changes import changes_between
from pilotage.store.corpora import StoredVersion, newest_version, version_of, versions_of
from pilotage.store.corpus_derivation import join_passages
from pilotage.store.corpus_documents import StoredRevision, documents_of, passages_of_revisions, revisions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffReport:
    """Version `a` (0: nothing, before the first) against `b`. `words` by document: only what the asker may read.

    `version` is `b` whole, `held` how many revisions `a` holds.
    """

    corpus: CorpusName
    a: int
    b: int
    diff: VersionDiff
    words: dict[str, tuple[SectionDiff, ...]]
    version: StoredVersion
    held: int

    def as_json(self) -> dict[str, Json]:
        """Return ids by kind and, where given, words by document and section."""
        words: dict[str, Json] = {
            document: [{"section": one.section, "words": [list(pair) for pair in one.words]} for one in sections]
            for document, sections in self.words.items()
        }
        return {"corpus": self.corpus, "a": self.a, "b": self.b, **self.diff.as_json(), "words": words}


_NUMBER: Final = re.compile(r"[0-9]{1,9}")
VERSIONS: Final = 50
"""Versions on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionList:
    """A page of versions, newest first; `more` is the key of the next page."""

    versions: tuple[StoredVersion, ...]
    more: str | None

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {"versions": [version_as_json(one) for one in self.versions], "next_page": self.more}


def list_versions(instance: Instance, *, corpus: CorpusName, before: str | None = None) -> VersionList:
    """Return a page of the versions of a corpus below a number; what is no number begins with the newest."""
    settings_of(instance, corpus)
    below = int(before) if before is not None and _NUMBER.fullmatch(before) else None
    with instance.engine.connect() as connection:
        found = versions_of(connection, corpus, most=VERSIONS + 1, before=below)
    shown = found[:VERSIONS]
    return VersionList(versions=shown, more=str(shown[-1].number) if len(found) > len(shown) else None)


def version_as_json(version: StoredVersion) -> dict[str, Json]:
    """Return a version as `corpus versions --json` shows it, without its bitmap."""
    return {
        "corpus": version.corpus,
        "version": version.number,
        "state": version.state.value,
        "parent": version.parent,
        "digest": version.digest,
        "created_by": version.created_by,
        "created_at": to_text(version.created_at),
        "decided_by": version.decided_by,
        "decided_at": None if version.decided_at is None else to_text(version.decided_at),
        "note": version.decision_note,
        "summary": dict(version.summary),
    }


def diff_versions(  # noqa: PLR0913 - what to compare, and how much of its words
    instance: Instance,
    *,
    actor: Principal,
    corpus: CorpusName,
    a: int | None = None,
    b: int | None = None,
    words: bool = False,
    most: int | None = None,
) -> DiffReport:
    """Compare two versions. Without `b`: the newest proposed or accepted one; without `a`: the one it follows.

    `words`: of changed documents that the actor may read, then of added ones; with `most` of so many.
    """
    settings = settings_of(instance, corpus)
    with instance.engine.connect() as connection:
        right = _right(connection, corpus, b)
        number = a if a is not None else (right.parent or 0)
        left = None if number == 0 else _version(connection, corpus, number)
        old, new = BitMap() if left is None else left.revisions, right.revisions
        gone = list(revisions_of(connection, corpus, old - new))
        came = list(revisions_of(connection, corpus, new - old))
        common = {one.document for one in revisions_of(connection, corpus, old & new)} if gone or came else set()
        diff = diff_revisions(map(_held, gone), map(_held, came), staying=common)
        diff = replace(diff, acl=_acl_changes(connection, corpus, number, right.number))
        since = settings.confirmed_since(instance.clock.now())
        wanted = (*diff.changed, *(diff.added if number or most is not None else ())) if words else ()
        readable = _readable(connection, corpus, acl_names(actor), wanted, since)[:most]
        shown = _words(connection, corpus, readable, gone, came)
    return DiffReport(corpus=corpus, a=number, b=right.number, diff=diff, words=shown, version=right, held=len(old))


def _acl_changes(connection: Connection, corpus: CorpusName, a: int, b: int) -> dict[str, AclChange]:
    """Return who gained and lost what since version `a` and until the one after `b`: readers are not versioned."""
    first = version_of(connection, corpus, a + 1)
    if first is None or a >= b:
        return {}
    following = version_of(connection, corpus, b + 1)
    until = None if following is None else following.created_at
    return changes_between(connection, corpus, since=first.created_at, until=until)


def _right(connection: Connection, corpus: CorpusName, number: int | None) -> StoredVersion:
    if number is not None:
        return _version(connection, corpus, number)
    found = newest_version(connection, corpus, VersionState.PROPOSED, VersionState.ACCEPTED)
    if found is None:
        message = f"Corpus {corpus} has no version yet."
        raise NotFound("VERSION_UNKNOWN", message, hint=f"Run `pilotage corpus refresh {corpus}`.")
    return found


def _version(connection: Connection, corpus: CorpusName, number: int) -> StoredVersion:
    found = version_of(connection, corpus, number)
    if found is None:
        message = f"There is no version {number} of corpus {corpus}."
        raise NotFound("VERSION_UNKNOWN", message, hint=f"See `pilotage corpus versions {corpus}`.")
    return found


def _held(one: StoredRevision) -> Held:
    return Held(document=one.document, hash=one.hash, meta_hash=one.meta_hash)


def _readable(
    connection: Connection, corpus: CorpusName, names: frozenset[str], wanted: Sequence[str], since: datetime | None
) -> list[str]:
    """Return those of the documents, in their order, that holders of these names may read now."""
    found = documents_of(connection, corpus, wanted) if wanted else {}
    return [
        id_
        for id_ in wanted
        if (one := found.get(id_)) is not None
        and one.tombstone is None
        and not names.isdisjoint(one.acl)
        and (since is None or one.acl_confirmed_at >= since)
    ]


def _words(
    connection: Connection,
    corpus: CorpusName,
    readable: Sequence[str],
    gone: Sequence[StoredRevision],
    came: Sequence[StoredRevision],
) -> dict[str, tuple[SectionDiff, ...]]:
    before = {one.document: one.rev for one in gone if one.document in readable}
    after = {one.document: one.rev for one in came if one.document in readable}
    revs = (*before.values(), *after.values())
    texts = passages_of_revisions(connection, corpus, revs) if revs else {}
    return {
        document: word_diff(_text(texts, before.get(document)), _text(texts, after.get(document)))
        for document in readable
    }


def _text(texts: Mapping[int, Sequence[tuple[str, str, int, int]]], rev: int | None) -> dict[str, str]:
    """Return a revision's text by section heading."""
    found: dict[str, str] = {}
    for heading, body in join_passages(texts.get(rev, ())) if rev is not None else ():
        found[heading] = f"{found[heading]}\n\n{body}" if heading in found else body
    return found
