"""Why was this person given this answer? From an interaction back to everything that made it.

The asker may explain their own; auditors, reviewers and the data-governance lead anybody's; on-call those of a workflow
with an incident under way; for everybody else it does not exist. Whoever opens another's leaves a ledger entry. The
asker never learns how much they may not see: counts and fingerprints of the allowed set are the auditor's. Fail mode:
NotFound; a part that was erased or is not numbered yet says so instead of being left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.explain_gates import gates_of_answer
from pilotage.control.give_feedback import may_be_rated
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName, InteractionId, SpaceName, ulid_of_answer
from pilotage.identity.principal import Principal, acl_names
from pilotage.identity.roles import Action, Role, may
from pilotage.ledger.commitment import SALT_BYTES, is_opened_by
from pilotage.ledger.entry import EntryKind, decode_entry
from pilotage.ledger.tiles import inclusion_proof, root
from pilotage.ledger.tree import leaf_hash
from pilotage.store.explanations import REMOVED, PassageOrigin, passages_of, release_note
from pilotage.store.feedback import feedback_of
from pilotage.store.incidents import incident_under_way
from pilotage.store.interactions import StoredInteraction, interaction_by_id
from pilotage.store.ledger_entries import StoredEntry, entries_of
from pilotage.store.ledger_sequencing import read_head, tile_reader
from pilotage.store.passages import Reader, read_passages
from pilotage.store.pseudonyms import pseudonym_of

# Which part of the salt opens which text.
_TEXTS: Final = {"question": slice(None, SALT_BYTES), "answer": slice(SALT_BYTES, None)}
_AUDITORS_ONLY = ("allowed_count", "allowed_fingerprint", "acl_generation")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof:
    """One ledger entry of the interaction. `seq` and the proof are None until the entry is numbered.

    `leaf`, `root` and `path` are lower-case hex; `size` is the tree size they belong to. `opens` tells for each
    commitment whether the kept text still opens it; `erased` names those whose text a takedown, a request or retention
    took, of which nothing can be said any more.
    """

    id: str
    kind: str
    seq: int | None
    leaf: str
    size: int | None
    root: str | None
    path: tuple[str, ...]
    opens: Mapping[str, bool]
    erased: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole chain. Texts are redacted, None once erased. `allowed` is empty for everybody but auditors.

    `gates`: those its release had passed into the space by then; `may_rate`: whether the viewer may.
    """

    interaction: InteractionId
    at: datetime
    outcome: str
    state: str
    question: str | None
    answer: str | None
    asker: Mapping[str, Json]
    admitted: Mapping[str, Json]
    routed: Mapping[str, Json]
    allowed: Mapping[str, Json]
    passages: Sequence[PassageOrigin]
    guards: Mapping[str, Json]
    release: Mapping[str, Json]
    feedback: Sequence[Mapping[str, Json]]
    proof: Sequence[EntryProof]
    gates: Sequence[Mapping[str, Json]] = ()
    may_rate: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the chain for CLI and API, link by link."""
        record = asdict(self)
        return record | {"at": to_text(self.at), "passages": [asdict(one) for one in self.passages]}


def explain_interaction(instance: Instance, *, actor: Principal, interaction: str) -> Explanation:
    """Return the explanation; raise NotFound for an interaction that is not the actor's to see."""
    with instance.engine.begin() as connection:
        asked = ulid_of_answer(interaction)
        found = None if asked is None else interaction_by_id(connection, asked)
        is_auditor = may(actor.roles, Action.AUDIT) is None
        viewer = pseudonym_of(connection, actor.id)
        ground = None if found is None else _ground(connection, actor, found, is_own=found.principal == viewer)
        if found is None or ground is None:
            message = f"There is no interaction {interaction[:40]!r} that you may see."
            raise NotFound("interaction_not_found", message, hint="Use the id of an answer you were given.")
        explained = replace(
            _explained(connection, found, is_auditor=is_auditor),
            gates=_gates(connection, instance, found),
            may_rate=may_be_rated(found, viewer, actor),
        )
        if found.principal != viewer:
            since = instance.workspace.acls_confirmed_since(CorpusName(found.corpus or ""), instance.clock.now())
            reader = Reader(names=acl_names(actor), confirmed_since=since)
            explained = _as_another_may_see(connection, explained, reader, is_auditor=is_auditor)
        if found.principal != viewer:
            _record_opening(connection, found, viewer, ground, instance.clock.now())
        return explained


def _gates(connection: Connection, instance: Instance, found: StoredInteraction) -> Sequence[Mapping[str, Json]]:
    if found.release is None:
        return ()
    release, space = Digest(found.release), SpaceName(found.space)
    return gates_of_answer(connection, instance, release=release, space=space, at=found.at)


def may_explain(instance: Instance, actor: Principal, interaction: str) -> bool:
    """Tell whether the actor may open this interaction's explanation; nothing is opened, so nothing is recorded."""
    asked = ulid_of_answer(interaction)
    if asked is None:
        return False
    with instance.engine.begin() as connection:
        found = interaction_by_id(connection, asked)
        if found is None:
            return False
        is_own = found.principal == pseudonym_of(connection, actor.id)
        return _ground(connection, actor, found, is_own=is_own) is not None


def _ground(connection: Connection, actor: Principal, found: StoredInteraction, *, is_own: bool) -> str | None:
    """Return on what ground the actor may see the interaction; None when on none."""
    if is_own:
        return "own"
    if may(actor.roles, Action.AUDIT) is None:
        return Role.AUDITOR.value
    if Role.DATA_GOVERNANCE_LEAD in actor.roles:
        return Role.DATA_GOVERNANCE_LEAD.value
    if may(actor.roles, Action.TRIAGE) is None:
        return Role.REVIEWER.value
    if Role.ON_CALL in actor.roles:
        return incident_under_way(connection, found.workflow)
    return None


def _record_opening(connection: Connection, found: StoredInteraction, viewer: str, ground: str, now: datetime) -> None:
    record(
        connection,
        EntryKind.INTERACTION_EXPLAINED,
        actor=viewer,
        at=now,
        subject=found.id,
        space=found.space,
        data={"ground": ground},
    )


def _explained(connection: Connection, found: StoredInteraction, *, is_auditor: bool) -> Explanation:
    detail = dict(found.detail)
    cited = {(item.rev, item.ordinal): item.marker for item in found.cited}
    return Explanation(
        interaction=found.id,
        at=found.at,
        outcome=found.outcome,
        state=found.state,
        question=found.question,
        answer=found.answer,
        asker={"pseudonym": found.principal, **_some(detail, "via", "key", "acting_service", "authenticated_at")},
        admitted={"space": found.space, "code": found.code, **_some(detail, "ip_rule", "t_admit", "rate_used")},
        routed={"workflow": found.workflow, "arm": found.arm, "kind": found.kind, **_some(detail, "generation")},
        allowed=_some(detail, *_AUDITORS_ONLY) if is_auditor else {},
        passages=passages_of(connection, found, cited),
        guards=_some(detail, "findings", "checks", "refusal"),
        release={
            "digest": found.release,
            "corpus": found.corpus,
            "corpus_version": found.corpus_version,
            "as_of": found.as_of.isoformat() if found.as_of else None,
            **_some(
                detail,
                "model_used",
                "fingerprint_used",
                "cached",
                "usage",
                "cost_nano",
                "t_retrieve",
                "t_first",
                "t_total",
            ),
            **release_note(connection, found.release),
            **_ranked_by(found, detail),
        },
        feedback=[{"rating": item.rating, "comment": item.comment} for item in feedback_of(connection, found.id)],
        proof=_proofs(connection, found),
    )


def _ranked_by(found: StoredInteraction, detail: Mapping[str, Json]) -> dict[str, Json]:
    """Return what found the passages: words alone, or words and the vectors of a model."""
    if "passages" not in detail or found.corpus is None:
        return {}
    used = detail.get("vectors")
    return {"found_by": "words alone"} if used is None else {"found_by": "words and vectors", "vectors": used}


def _as_another_may_see(
    connection: Connection, explained: Explanation, reader: Reader, *, is_auditor: bool
) -> Explanation:
    """Leave out passages that the viewer may not read now; an auditor learns how many they are."""
    corpus = explained.release.get("corpus")
    if not isinstance(corpus, str) or not explained.passages:
        return explained
    places = [(one.rev, one.chunk) for one in explained.passages]
    readable = read_passages(connection, CorpusName(corpus), places, reader)
    shown = [one for one in explained.passages if one.document == REMOVED or (one.rev, one.chunk) in readable]
    hidden = {"passages_hidden": len(explained.passages) - len(shown)} if is_auditor else {}
    return replace(explained, passages=shown, allowed={**explained.allowed, **hidden})


def _some(detail: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: detail[name] for name in names if name in detail}


def _proofs(connection: Connection, found: StoredInteraction) -> list[EntryProof]:
    size = read_head(connection).size
    made = [one for one in entries_of(connection, found.id) if one.kind != EntryKind.INTERACTION_EXPLAINED]
    return [_proof(connection, entry, found, size) for entry in made]


def _proof(connection: Connection, entry: StoredEntry, found: StoredInteraction, size: int) -> EntryProof:
    read = tile_reader(connection)
    is_numbered = entry.seq is not None and entry.seq < size
    path: tuple[bytes, ...] = ()
    if is_numbered and entry.seq is not None:
        path = inclusion_proof(read, entry.seq, size)
    data = bytes(entry.bytes)
    commit = decode_entry(data).commit
    opens = _opened(commit, found)
    return EntryProof(
        id=entry.id,
        kind=entry.kind,
        seq=entry.seq,
        leaf=leaf_hash(data).hex(),
        size=size if is_numbered else None,
        root=root(read, size).hex() if is_numbered else None,
        path=tuple(step.hex() for step in path),
        opens=opens,
        erased=tuple(sorted(name for name in commit if name in _TEXTS and name not in opens)),
    )


def _opened(commit: Mapping[str, str], found: StoredInteraction) -> dict[str, bool]:
    """Tell for each commitment whether the kept text opens it: a changed text shows here."""
    texts = {"question": found.question, "answer": found.answer}
    return {
        name: is_opened_by(commit[name], salt=bytes(found.salt)[piece], value=text)
        for name, piece in _TEXTS.items()
        # The salt is empty once a takedown took the text.
        if name in commit and (text := texts[name]) is not None and found.salt
    }
