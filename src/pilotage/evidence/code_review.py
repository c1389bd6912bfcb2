"""Code review on GitHub: `{pull, reviews, commits}` as the REST API gives them (docs.github.com/rest/pulls).

Rule: of each person the last review that is more than a comment counts, and an approval only on the head commit, by
somebody known who wrote none of the commits. Fail mode: a page that may be cut short, or a head missing among the
commits, is EV_INCONSISTENT; no review at all is EV_EMPTY.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_number, as_text, at, maps_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import earliest, file_time

_PARTS = frozenset({"pull", "reviews", "commits"})
_REVIEW_PAGES = frozenset({30, 100})
_COMMIT_PAGES = frozenset({30, 100, 250})
_DECISIONS = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})
_CO_AUTHOR = re.compile(r"^co-authored-by:[^<\n]*<([^<>\s]+)>", re.IGNORECASE | re.MULTILINE)


def is_github_review(content: Content) -> bool:
    """Tell whether the JSON has a pull request with its reviews and commits."""
    return isinstance(content, JsonContent) and as_map(content.value).keys() >= _PARTS


def read_github_review(source: Source, context: ReadContext) -> Reading:
    """Read a reviewed pull request as `review.code`."""
    document = as_map(source.json)
    commits, reviews = list(maps_in(document["commits"])), list(maps_in(document["reviews"]))
    head = as_text(at(document, "pull", "head", "sha"))
    _check_complete(document, commits, len(as_list(document["reviews"])))
    tree = next((as_text(at(one, "commit", "tree", "sha")) for one in commits if as_text(one.get("sha")) == head), "")
    if not head or not tree:
        raise Unreadable("EV_INCONSISTENT", "The head commit of the pull request is not among its commits.")
    authors, strangers = _authors(document, commits, context)
    last = _last_reviews(reviews, context)
    if not last:
        raise Unreadable("EV_EMPTY", "Nobody reviewed the pull request.", observed="0 reviews")
    approvers = {
        who: review
        for who, review in last.items()
        if review.get("state") == "APPROVED" and as_text(review.get("commit_id")) == head
    }
    known = frozenset(context.people.values())
    counted = sorted(who for who in approvers if who in known and who not in authors)
    strangers |= {who for who in last if who not in known}
    asked = sum(review.get("state") == "CHANGES_REQUESTED" for review in last.values())
    return Reading(
        kind=source.kind,
        reader="github-review",
        claims={"approvals_on_head": len(counted), "changes_requested": asked, "unmapped": len(strangers)},
        summary=f"{len(counted)} approval(s) on the head commit, {asked} change request(s), {len(strangers)} unknown",
        produced_at=earliest(file_time(as_text(review.get("submitted_at"))) for review in last.values()),
        refs={"head_sha": head, "head_tree": tree},
        names={
            "approvers": tuple(counted),
            "authors": tuple(sorted(authors)),
            "unmapped": tuple(sorted(strangers)),
        },
    )


def _check_complete(document: Mapping[str, Json], commits: Sequence[Mapping[str, Json]], reviews: int) -> None:
    """Refuse lists that end exactly where a page ends, unless the file says that no page follows."""
    if document.get("next_page"):
        raise Unreadable("EV_PARTIAL", "The file says that another page of reviews follows; merge all pages.")
    if reviews in _REVIEW_PAGES and "next_page" not in document:
        text = f"Exactly {reviews} reviews may be a first page; add the rest, or `next_page: null`."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{reviews} reviews")
    stated = as_number(at(document, "pull", "commits"))
    is_cut = stated != len(commits) if stated is not None else len(commits) in _COMMIT_PAGES
    if is_cut:
        text = f"The pull request has {'an unknown number of' if stated is None else f'{stated:g}'} commits."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{len(commits)} commits")


def _authors(
    document: Mapping[str, Json], commits: Sequence[Mapping[str, Json]], context: ReadContext
) -> tuple[set[str], set[str]]:
    """Return the persons who wrote or co-wrote a commit or opened the pull request, and the names nobody knows."""
    known: set[str] = set()
    unknown: set[str] = set()
    for names in (_login(document["pull"]), *(one for commit in commits for one in _signatures(commit))):
        people = {context.people[name] for name in names if name in context.people}
        known |= people
        unknown |= set() if people else set(names[:1])
    return known, unknown


def _signatures(commit: Mapping[str, Json]) -> Iterator[tuple[str, ...]]:
    """Yield, per author of a commit, the names that may tell who it is: login, e-mail."""
    email = as_text(at(commit, "commit", "author", "email")).lower()
    names = (as_text(at(commit, "author", "login")).lower(), email)
    yield tuple(name for name in names if name)
    for found in _CO_AUTHOR.finditer(as_text(at(commit, "commit", "message"))):
        yield (found.group(1).lower(),)


def _login(value: Json) -> tuple[str, ...]:
    login = as_text(at(value, "user", "login")).lower()
    return (login,) if login else ()


def _last_reviews(reviews: Sequence[Mapping[str, Json]], context: ReadContext) -> dict[str, Mapping[str, Json]]:
    """Return the last deciding review of each person, by person id, or by login where nobody is known."""
    last: dict[str, Mapping[str, Json]] = {}
    for review in sorted(reviews, key=lambda one: as_text(one.get("submitted_at"))):
        login = "".join(_login(review))
        is_bot = at(review, "user", "type") == "Bot" or login.endswith("[bot]")
        if login and not is_bot and review.get("state") in _DECISIONS:
            last[context.people.get(login, login)] = review
    return last
