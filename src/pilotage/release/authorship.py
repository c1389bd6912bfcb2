"""Who made a part: kept outside the digest, keyed by part, append-only (gates.md 1.5).

Rule: a person who authored a part digest is its author in every release that holds it, for ever. Fail mode: an e-mail
that maps to nobody gives the author `unknown`, which makes every later separation check inconclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pilotage.core.ids import PersonId

UNKNOWN = PersonId("unknown")

_COAUTHOR = re.compile(r"^co-authored-by:.*<([^<>\s]+)>\s*$", re.IGNORECASE | re.MULTILINE)


class How(StrEnum):
    """In which way a person made the part."""

    AUTHORED = "authored"
    COMMITTED = "committed"
    CO_AUTHORED = "co_authored"
    SEALED = "sealed"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Author:
    """One person's hand in a part. `ref` is the commit, or the corpus version."""

    person: PersonId
    how: How
    ref: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A Git commit that touched a part's files."""

    sha: str
    author_email: str
    committer_email: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What Git says of a part's files: the commits that touched them, and whether all of it is committed."""

    commits: tuple[Commit, ...]
    is_clean: bool


def authors_of(
    history: History, *, people: Mapping[str, PersonId], sealer: PersonId, at: datetime
) -> tuple[Author, ...]:
    """Return authors, committers and co-authors of the commits, and the sealer for uncommitted or non-Git changes.

    `people` maps lower-case e-mail addresses to persons.
    """
    found: set[Author] = set()
    for commit in history.commits:
        found.add(_author(commit.author_email, How.AUTHORED, commit, people))
        found.add(_author(commit.committer_email, How.COMMITTED, commit, people))
        found.update(_author(email, How.CO_AUTHORED, commit, people) for email in _COAUTHOR.findall(commit.message))
    if not history.is_clean:
        found.add(Author(person=sealer, how=How.SEALED, ref="", at=at))
    return tuple(sorted(found))


def _author(email: str, how: How, commit: Commit, people: Mapping[str, PersonId]) -> Author:
    return Author(person=people.get(email.lower(), UNKNOWN), how=how, ref=commit.sha, at=commit.at)


def persons(authors: Iterable[Author]) -> frozenset[PersonId]:
    """Return the distinct persons behind a set of authorship records."""
    return frozenset(author.person for author in authors)
