"""`pilotage corpus search`: what a person may find in a corpus by its words, ranked as serving ranks them.

Vectors belong to a release, and here is none: a release with an embedding model ranks by both.
Fail mode: a person nobody granted anything finds nothing, one whose documents all have an ACL past its age is refused
(`acl_stale`); an unknown version is a usage error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from pilotage.control.corpus_duties import settings_of
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.errors import NotFound, Unavailable, UsageError
from pilotage.core.ids import CorpusName
from pilotage.corpus.acl import ACL_STALE
from pilotage.corpus.analyser import analyse
from pilotage.identity.principal import Principal, acl_names
from pilotage.retrieval.allowed import Asking
from pilotage.retrieval.search import MAX_HITS, Query, search
from pilotage.store.index_build import index_folder, open_index
from pilotage.store.passages import Reader, read_passages


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPassage:
    """One passage the person may see; `chunk` is its ordinal in the document."""

    document: str
    section: str
    chunk: int
    score: float
    text: str

    def as_json(self) -> dict[str, Json]:
        """Return the fields for CLI and API."""
        return {
            "document": self.document,
            "section": self.section,
            "chunk": self.chunk,
            "score": self.score,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for. `version` None is the newest accepted one, `as_of` None today."""

    question: str
    version: int | None = None
    as_of: date | None = None
    top: int = 10


def search_corpus(
    instance: Instance, *, actor: Principal, corpus: str, wanted: Search, indexes: Path | None = None
) -> tuple[FoundPassage, ...]:
    """Return the passages the actor may see, best first."""
    settings = settings_of(instance, CorpusName(corpus))
    if not 1 <= wanted.top <= MAX_HITS:
        raise UsageError("TOP", f"--top is {wanted.top}.", hint=f"Write a number from 1 to {MAX_HITS}.")
    folder = index_folder(instance.workspace, instance.home, root=indexes)
    snapshot = open_index(instance.engine, settings, folder, earlier=None)
    versions = snapshot.visibility.versions
    version = max(versions, default=0) if wanted.version is None else wanted.version
    if version not in versions:
        known = ", ".join(str(number) for number in sorted(versions)) or "none yet"
        message = (
            f"Corpus {corpus} has no accepted version {'' if wanted.version is None else wanted.version}".rstrip() + "."
        )
        raise NotFound("VERSION_UNKNOWN", message, hint=f"Accepted versions: {known}.")
    now, names = instance.clock.now(), acl_names(actor)
    day = wanted.as_of or now.astimezone(ZoneInfo(instance.workspace.timezone)).date()
    view = snapshot.view(Asking(names=names, version=version, day=day, at=now))
    if view.allowed.is_stale:
        raise Unavailable("acl_stale", ACL_STALE, hint=f"Run `pilotage corpus refresh {corpus}`.")
    terms = analyse(wanted.question, language=settings.language)
    hits = search(snapshot, view, Query(terms=terms), wanted.top)
    places = [(hit.rev, hit.ordinal) for hit in hits]
    with instance.engine.connect() as connection:
        reader = Reader(names=names, confirmed_since=settings.confirmed_since(now), version=version)
        texts = read_passages(connection, settings.name, places, reader)
    found = ((hit, texts.get((hit.rev, hit.ordinal))) for hit in hits)
    return tuple(
        FoundPassage(
            document=passage.document,
            section=passage.section,
            chunk=passage.ordinal,
            score=hit.score,
            text=passage.text,
        )
        for hit, passage in found
        if passage is not None
    )
