"""What is recorded of a request, as the rows of one transaction (serving.md 7.4).

The interaction row and its ledger entry hold the same facts: ids, counts, states and times, never text. The entry
commits to question, answer and the client's label. Question and answer stand redacted in `interaction_text`, whose
salt opens their commitments (32 bytes for the question, then 32 for the answer); the label stands in
`ledger_disclosure`. Fail mode: a value the ledger refuses is an exception, so there is no record and no answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import new_ulid
from pilotage.ledger.commitment import SALT_BYTES, Disclosure, commitment, commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.serving.context import (
    Admitted,
    Authenticated,
    Checked,
    Generated,
    Guarded,
    Located,
    Received,
    Retrieval,
    Retrieved,
    Routed,
)
from pilotage.serving.outcome import RequestOutcome, State, TrafficKind
from pilotage.serving.refusal import Code
from pilotage.serving.sent import leaked_kinds
from pilotage.store.serving_records import RecordRows, Row

GATEWAY_ACTOR = "system:gateway"
_COLUMNS = ("arm", "release", "corpus", "corpus_version", "as_of", "kind", "state", "outcome", "code", "refused")
_IS_COLUMN = frozenset(_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a request ended. `at` is the moment it is recorded; `total_us` the time since arrival."""

    outcome: RequestOutcome
    at: datetime
    total_us: int
    state: State = State.FINAL
    code: Code | None = None
    refused: bool = False
    cached: bool = False


def new_salts() -> bytes:
    """Return the salts of one interaction: 32 random bytes for the question, 32 for the answer."""
    return secrets.token_bytes(2 * SALT_BYTES)


def interaction_rows(
    context: Received, ending: Ending, *, salts: bytes, workflow: str, is_recorded: bool = False
) -> RecordRows:
    """Return the record of a request that got as far as `context`.

    `workflow` is a declared name or ""; `is_recorded` when an earlier record exists, so this one closes it.
    """
    facts = _facts(context, ending)
    label = _label(context)
    asker = context.asker if isinstance(context, Authenticated) else None
    texts = _texts(context)
    space = context.place.space.name if isinstance(context, Located) else ""
    kind = EntryKind.INTERACTION_OPENED if ending.state is State.OPEN else EntryKind.INTERACTION_RECORDED
    entry = encode_entry(
        id=new_ulid(ending.at),
        kind=kind,
        at=ending.at,
        actor=asker.pseudonym if asker else GATEWAY_ACTOR,
        subject=context.interaction,
        space=space,
        data={"workflow": workflow, **facts},
        commit=_commitments(texts, salts) | commitments_of(label),
    )
    detail = {name: value for name, value in facts.items() if name not in _IS_COLUMN}
    return RecordRows(
        entry=entry,
        interaction=None if is_recorded else _first_row(context, facts, detail, space=space, workflow=workflow),
        closing=_closing_row(context, ending, facts, detail) if is_recorded else None,
        text=_text_row(context, texts, salts),
        citations=_citations(context),
        disclosures=label,
    )


def _first_row(
    context: Received, facts: Mapping[str, Json], detail: Mapping[str, Json], *, space: str, workflow: str
) -> Row:
    return {
        "id": context.interaction,
        "at": context.at,
        "space": space,
        "workflow": workflow,
        "principal": context.asker.pseudonym if isinstance(context, Authenticated) else "",
        "detail": detail,
        **{name: facts.get(name) for name in _COLUMNS},
    }


def _closing_row(context: Received, ending: Ending, facts: Mapping[str, Json], detail: Mapping[str, Json]) -> Row:
    return {
        "interaction": context.interaction,
        "at": ending.at,
        "detail": detail,
        **{name: facts.get(name) for name in ("state", "outcome", "code", "refused")},
    }


def _facts(context: Received, ending: Ending) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "state": str(ending.state),
        "outcome": str(ending.outcome),
        "code": str(ending.code) if ending.code is not None else None,
        "refused": ending.refused,
        "cached": ending.cached,
        "t_total": ending.total_us,
        "kind": str(TrafficKind.USER),
        "arm": "",
    }
    if isinstance(context, Authenticated):
        facts |= _asker(context)
    if isinstance(context, Admitted):
        facts |= _admission(context)
    if isinstance(context, Routed):
        facts |= {
            "arm": str(context.arm),
            "release": context.release.digest,
            "generation": context.place.row.generation,
        }
        if context.shadowed_for is not None:
            facts["shadowed_for"] = context.shadowed_for
    if isinstance(context, Retrieved):
        facts |= _retrieval(context)
    if isinstance(context, Generated):
        facts |= _generation(context)
    facts["findings"] = _findings(context)
    if isinstance(context, Checked):
        facts["refusal"] = context.verdict.refusal
        facts["cited"] = [cited.marker for cited in context.verdict.cited]
        facts["checks"] = dict(context.verdict.scores)
        leaked = leaked_kinds(context)
        if leaked:
            facts["sent"] = list(leaked)
    return facts


def _asker(context: Authenticated) -> dict[str, Json]:
    asker = context.asker
    return {
        "kind": str(asker.kind),
        "via": asker.via,
        "acting_service": asker.acting_service,
        "authenticated_at": to_text(asker.authenticated_at or context.at),
        "key": asker.key.key if asker.key is not None else None,
    }


def _admission(context: Admitted) -> dict[str, Json]:
    admission = context.admission
    facts: dict[str, Json] = {"ip_rule": admission.ip_rule, "t_admit": context.admitted_us}
    if admission.rate is not None:
        rate = admission.rate
        facts["rate_used"] = {"of": rate.whose, "used": rate.used, "limit": str(rate.limit)}
    if admission.failover_from is not None:
        facts["failover_from"] = admission.failover_from
    return facts


def _retrieval(context: Retrieved) -> dict[str, Json]:
    retrieval = context.retrieval
    return _by_vectors(retrieval) | {
        "corpus": retrieval.corpus,
        "corpus_version": retrieval.corpus_version,
        "as_of": retrieval.as_of.isoformat(),
        "acl_generation": retrieval.acl_generation,
        "allowed_count": retrieval.allowed_count,
        "allowed_fingerprint": retrieval.allowed_fingerprint,
        "t_retrieve": context.retrieved_us,
        "passages": [
            {"rev": item.passage.rev, "chunk": item.passage.ordinal, "rank": item.rank, "score": f"{item.score:.12f}"}
            for item in retrieval.found
        ],
    }


def _by_vectors(retrieval: Retrieval) -> dict[str, Json]:
    """Return how vectors took part; nothing where words alone ranked."""
    used = retrieval.vectors
    if used is None:
        return {}
    return {"vectors": {"model": used.model, "key": used.key, "cells": used.cells, "t_embed": used.embedded_us}}


def _generation(context: Generated) -> dict[str, Json]:
    said = context.generation
    named = {} if said.fingerprint is None else {"fingerprint_used": said.fingerprint}
    return named | {
        "model_used": said.model,
        "usage": {"prompt_tokens": said.usage.prompt_tokens, "completion_tokens": said.usage.completion_tokens},
        "usage_source": "estimated" if said.usage.estimated else "provider",
        "cost_nano": said.cost_nano,
        "t_first": said.first_us,
        "fallback": False,
        "retries": said.retries,
    }


def _findings(context: Received) -> list[Json]:
    found = list(context.question.findings) if isinstance(context, Guarded) else []
    if isinstance(context, Retrieved):
        found += context.retrieval.findings
    if isinstance(context, Checked):
        found += context.verdict.findings
    return [
        {"check": str(item.check), "type": item.type, "count": item.count, "action": str(item.action)} for item in found
    ]


def _texts(context: Received) -> Mapping[str, str]:
    if not isinstance(context, Guarded):
        return {}
    texts = {"question": context.question.stored}
    if isinstance(context, Checked):
        texts["answer"] = context.verdict.stored
    return texts


def _label(context: Received) -> tuple[Disclosure, ...]:
    if not isinstance(context, Guarded) or not context.question.label:
        return ()
    return disclosures_of({"label": context.question.label}, entropy=secrets.token_bytes)


def _commitments(texts: Mapping[str, str], salts: bytes) -> dict[str, Digest]:
    pieces = {"question": salts[:SALT_BYTES], "answer": salts[SALT_BYTES:]}
    return {name: commitment(pieces[name], text) for name, text in texts.items()}


def _text_row(context: Received, texts: Mapping[str, str], salts: bytes) -> Row | None:
    if not isinstance(context, Guarded):
        return None
    return {
        "id": context.interaction,
        "question": texts["question"],
        "answer": texts.get("answer", ""),
        "groups": sorted(context.asker.principal.groups),
        "salt": salts,
        "at": context.at,
    }


def _citations(context: Received) -> Sequence[Row]:
    if not isinstance(context, Checked):
        return ()
    seen = {(cited.marker, cited.ordinal): cited for cited in context.verdict.cited}
    return [
        {
            "interaction": context.interaction,
            "corpus": cited.corpus,
            "document": cited.document,
            "rev": cited.rev,
            "ordinal": cited.ordinal,
            "marker": cited.marker,
        }
        for cited in seen.values()
    ]
