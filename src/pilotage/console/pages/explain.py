"""Explain: why was this person given this answer? The chain of eight links, each with its proof.

Rule: who may see it is decided by `explain_interaction`, which notes whoever opens another's; documents the viewer may
not read now are only counted, and only for auditors. Fail mode: a text that retention removed says so; a proof that
does not hold is a banner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pilotage.console.prose import render_answer
from pilotage.console.reply import Download, Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import gate_status
from pilotage.control.explain_interaction import EntryProof, Explanation, explain_interaction
from pilotage.control.give_feedback import Rating, give_feedback
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.errors import UsageError
from pilotage.core.ids import CorpusName
from pilotage.identity.principal import acl_names
from pilotage.identity.roles import Action, may
from pilotage.store.explanations import PassageOrigin
from pilotage.store.passages import Reader, read_passages


def show_interaction(visit: Visit) -> Page:
    """Show one interaction."""
    found = explain_interaction(visit.instance, actor=visit.actor, interaction=visit.params["interaction"])
    readable = _readable(visit, found)
    shown = [one for one in found.passages if (one.rev, one.chunk) in readable]
    is_auditor = may(visit.actor.roles, Action.AUDIT) is None
    links = {one.marker: passage_path(found, one) for one in shown if one.marker is not None}
    return Page(
        template="interaction.html",
        title="Why this answer?",
        about=found.interaction,
        values={
            "found": found,
            "answer": None if found.answer is None else render_answer(found.answer, links),
            "passages": [(one, passage_path(found, one)) for one in shown],
            "hidden": _hidden(found) + len(found.passages) - len(shown) if is_auditor else None,
            "is_auditor": is_auditor,
            "proof": proof_line(found.proof),
            "gates": [(one, gate_status(str(one["status"]))) for one in found.gates if not one["is_emergency"]],
            "skipped": [(one, gate_status(str(one["status"]))) for one in found.gates if one["is_emergency"]],
            "checks": check_words(found.guards.get("checks")),
            "release_digest": found.release.get("digest"),
        },
    )


_CHECKS: Final = {
    "citations": "Citations that lead to a passage with these words",
    "grounding": "Lowest share of a sentence found in its source",
    "numbers": "Numbers without a source",
}


def check_words(checks: Json) -> list[tuple[str, str]]:
    """Return the recorded results of the output checks in words; shares become percentages."""
    found = checks if isinstance(checks, Mapping) else {}
    return [(_CHECKS.get(name, name), _percent(str(value))) for name, value in found.items()]


def _percent(value: str) -> str:
    if "." not in value or not value.replace(".", "", 1).isdigit():
        return value
    return f"{float(value) * 100:.4g} %"


def _hidden(found: Explanation) -> int:
    """Return how many passages the use case left out for an auditor."""
    counted = found.allowed.get("passages_hidden")
    return counted if isinstance(counted, int) else 0


def passage_path(found: Explanation, one: PassageOrigin) -> str:
    """Return the address of a passage."""
    return f"/corpora/{found.release.get('corpus')}/passages/{one.rev}/{one.chunk}"


def _readable(visit: Visit, found: Explanation) -> Mapping[tuple[int, int], Any]:
    corpus = found.release.get("corpus")
    if not isinstance(corpus, str) or not found.passages:
        return {}
    places = [(one.rev, one.chunk) for one in found.passages]
    since = visit.instance.workspace.acls_confirmed_since(CorpusName(corpus), visit.instance.clock.now())
    reader = Reader(names=acl_names(visit.actor), confirmed_since=since)
    with visit.reading.engine.connect() as connection:
        return read_passages(connection, CorpusName(corpus), places, reader)


def proof_line(proof: Sequence[EntryProof]) -> str:
    """Return "proven", "erased", "waiting" or "broken".

    Broken when a kept text no longer opens its commitment, waiting until every entry is numbered, erased when there is
    no text left to compare.
    """
    if any(not opened for one in proof for opened in one.opens.values()):
        return "broken"
    if not proof or any(one.root is None for one in proof):
        return "waiting"
    return "erased" if any(one.erased for one in proof) else "proven"


def download_proof(visit: Visit) -> Reply:
    """Return the chain with its proofs, as one canonical JSON file."""
    found = explain_interaction(visit.instance, actor=visit.actor, interaction=visit.params["interaction"])
    record = found.as_json()
    readable = _readable(visit, found)
    record["passages"] = [one for one in record["passages"] if (one["rev"], one["chunk"]) in readable]
    body = canonical_bytes(record, form=Form.PLAIN)
    return Download(body=body, media="application/json", filename=f"interaction-{found.interaction}.json")


def rate(visit: Visit) -> Reply:
    """Record a rating with its optional reason and correction."""
    rating = visit.typed("rating")
    if rating not in {one.value for one in Rating}:
        raise UsageError("RATING", "Choose whether the answer was helpful.")
    given = give_feedback(
        visit.instance,
        actor=visit.actor,
        interaction=visit.params["interaction"],
        rating=Rating(rating),
        redact=visit.services.redact,
        comment=visit.typed("comment") or None,
        correction=visit.typed("correction") or None,
    )
    return Redirect(to=f"/interactions/{given.interaction}?thanks={given.rating.value}#feedback")
