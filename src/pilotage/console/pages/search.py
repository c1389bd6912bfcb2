"""Search: what a digest, an id, a name or a document's id leads to, of what this person may see.

Rule: documents and interactions show themselves to those who may open them; nobody else learns that they exist, nor how
many there are. Fail mode: a database error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.control.explain_interaction import may_explain
from pilotage.core.digest import short
from pilotage.identity.principal import acl_names
from pilotage.identity.roles import Action, may
from pilotage.store.lookup import FoundDocument, Named, documents_named, named

MOST_CHARACTERS: Final = 200
_DIGITS = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")
_LEAST_OF_A_NAME: Final = 2
_MOST_PEOPLE: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One thing that was found. `path` is empty for what has no page."""

    kind: str
    name: str
    about: str
    path: str


def show_search(visit: Visit) -> Page:
    """Show what the words lead to."""
    wanted = visit.query.get("q", "").strip()[:MOST_CHARACTERS]
    hits = _found(visit, wanted) if wanted else []
    title = f"Search: {wanted}" if wanted else "Search"
    return Page(template="search.html", title=title, values={"wanted": wanted, "hits": hits})


def _found(visit: Visit, wanted: str) -> list[Hit]:
    workspace, now = visit.instance.workspace, visit.now
    digits = _DIGITS.fullmatch(wanted.lower())
    since = {name: workspace.acls_confirmed_since(name, now) for name in workspace.corpora}
    with visit.reading.engine.connect() as connection:
        ids = named(connection, begin=digits[1] if digits else "", identifier=wanted.upper())
        documents = (
            documents_named(connection, wanted, names=acl_names(visit.actor), since=since)
            if len(wanted) >= _LEAST_OF_A_NAME
            else ()
        )
    is_auditor = may(visit.actor.roles, Action.AUDIT) is None
    hits = [_of(one) for one in ids if one.kind != "entry" or is_auditor]
    if may_explain(visit.instance, visit.actor, wanted.upper()):
        path = f"/interactions/{wanted.upper()}"
        hits.append(Hit(kind="interaction", name=wanted.upper(), about="why this answer?", path=path))
    return [*hits, *_workflows(visit, wanted), *_people(visit, wanted), *map(_document, documents)]


def _of(one: Named) -> Hit:
    match one.kind:
        case "release":
            return Hit(kind="release", name=short(one.name), about=one.about, path=f"/releases/{short(one.name)}")
        case "rollout":
            about = one.about.replace("_", " ")
            return Hit(kind="rollout", name=one.name, about=about, path=f"/rollouts/{one.name}")
        case "session":
            return Hit(kind="board session", name=one.name, about=one.about, path=f"/cab/{one.name}")
        case "incident":
            return Hit(kind="incident", name=one.name, about="", path=f"/incidents/{one.name}")
        case _:
            return Hit(kind="ledger entry", name=one.name, about=one.about, path=f"/ledger/{one.name}")


def _workflows(visit: Visit, wanted: str) -> list[Hit]:
    workspace, low = visit.instance.workspace, wanted.lower()
    found = [
        Hit(kind="corpus", name=name, about="versions", path=f"/corpora/{name}")
        for name in sorted(workspace.corpora)
        if low in name
    ]
    known = [name for name in sorted(workspace.workflows) if low in name]
    return [*(Hit(kind="workflow", name=name, about="", path=f"/ask/{name}") for name in known), *found]


def _people(visit: Visit, wanted: str) -> list[Hit]:
    workspace, low = visit.instance.workspace, wanted.casefold()
    if len(low) < _LEAST_OF_A_NAME:
        return []
    found = [one for one in workspace.people.values() if low in one.name.casefold() or low in one.id.casefold()]
    roles = {one.id: sorted(role.value for role, held in workspace.roster.items() if one.id in held) for one in found}
    return [
        Hit(kind="person", name=one.name, about=", ".join(roles[one.id]) or "no role", path="")
        for one in found[:_MOST_PEOPLE]
    ]


def _document(one: FoundDocument) -> Hit:
    path = f"/corpora/{one.corpus}/passages/{one.rev}/0"
    return Hit(kind="document", name=one.id, about=f"{one.title}, in {one.corpus}", path=path)
