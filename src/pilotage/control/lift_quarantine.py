"""`pilotage release lift`: a quarantine ends by two persons and new evidence (gates.md 1.6).

Of a release and all of the same content, or, with a space, of its rollback there. Rule: one of the two may quarantine,
neither made it or sealed its content, and its bytes and signature hold; evidence is new when a build's key or our own
run brought it after the quarantine began. Its gates decide anew. Fail mode: a Refusal; the first only leaves a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.declared_person import person_problem
from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.second_person import STANDS, waits_for_second
from pilotage.control.verify_release import release_problems
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Reason, Refusal
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.records import Evidence, EvidenceState, SubjectKind
from pilotage.gate.eligibility import author_problem
from pilotage.identity.principal import Principal
from pilotage.identity.roles import DERIVED_ROLES, Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.store.ledger_said import Said, said_about
from pilotage.store.quarantine import (
    LiftAsked,
    ask_lift,
    end_space_quarantine,
    lift_asked,
    space_quarantined_at,
)
from pilotage.store.releases import StoredRelease, named_with_same_content, set_state
from pilotage.workspace.gate import Trust

"""How long the first person's word waits for the second."""
_ABOUT = frozenset({SubjectKind.RELEASE, SubjectKind.SPACE})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftRequest:
    """Why it may come back. `space` None: the release itself, everywhere."""

    reason: str
    space: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """The release as it is now. `waits_for` the second person; `evidence` is what is new since the quarantine."""

    digest: Digest
    state: ReleaseState
    space: str | None
    evidence: tuple[str, ...]
    same_content: tuple[Digest, ...] = ()
    waits_for: tuple[Reason, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "digest": self.digest,
            "state": self.state.value,
            "space": self.space,
            "lifted": not self.waits_for,
            "evidence": list(self.evidence),
            "same_content": list(self.same_content),
            "waits_for": [dict(reason.as_json()) for reason in self.waits_for],
        }


def lift_quarantine(instance: Instance, *, actor: Principal, release: str, request: LiftRequest) -> Lifted | Refusal:
    """Record one person's word, or end the quarantine when it is the second of two."""
    space = _space(instance, request.space)
    with instance.engine.begin() as connection:
        stored, same = named_with_same_content(connection, release)
        now = instance.clock.now()
        chain = open_chain(connection, instance, stored, now)
        said = said_about(connection, [stored.digest]).get(stored.digest, ())
        since = _since(connection, stored, space, said)
        if since is None:
            where = stored.digest if space is None else space
            text = f"{stored.digest} is under no quarantine {'of its own' if space is None else f'in {space}'}."
            return Refusal(reasons=(Reason(code="NOT_QUARANTINED", text=text, where=where),))
        fresh = _fresh(chain, space, since)
        reasons = (
            *_person(actor, chain, same),
            *_words(request.reason),
            *_no_evidence(stored, fresh, since),
            *release_problems(connection, instance, stored),
        )
        if reasons:
            return Refusal(reasons=reasons)
        lift = _Lift(
            connection=connection, stored=stored, same=same, space=space, actor=actor, reason=request.reason, at=now
        )
        return lift.run(fresh, since)


def _space(instance: Instance, name: str | None) -> SpaceName | None:
    if name is None or SpaceName(name) in instance.workspace.spaces:
        return None if name is None else SpaceName(name)
    known = ", ".join(instance.workspace.order)
    raise NotFound("SPACE_UNKNOWN", f"There is no space {name!r}.", hint=f"Declared: {known}.")


def _since(
    connection: Connection, stored: StoredRelease, space: SpaceName | None, said: tuple[Said, ...]
) -> datetime | None:
    """Return since when it is quarantined; None when it is not."""
    if space is not None:
        return space_quarantined_at(connection, space, stored.workflow, stored.digest)
    if stored.state is not ReleaseState.QUARANTINED:
        return None
    return max((one.at for one in said if one.kind == EntryKind.RELEASE_QUARANTINED), default=stored.sealed_at)


def _fresh(chain: Chain, space: SpaceName | None, since: datetime) -> tuple[Evidence, ...]:
    """Return accepted evidence on the release, by no person's word alone, that came after the quarantine began."""
    return tuple(
        item
        for item in chain.evidence
        if item.state is EvidenceState.ACCEPTED
        and item.subject_kind in _ABOUT
        and item.trust.rank >= Trust.PUSHED.rank
        and item.received_at > since
        and item.produced_at > since
        and (space is None or item.space in {None, space})
        and changed_reason(item) is None
    )


def _person(actor: Principal, chain: Chain, same: tuple[StoredRelease, ...]) -> tuple[Reason, ...]:
    nobody = person_problem(actor, "lifts a quarantine")
    if nobody is not None:
        return (nobody,)
    if not actor.roles - DERIVED_ROLES:
        text = f"Lifting a quarantine takes two persons who hold roles; {actor.label} holds none."
        return (Reason(code="NOT_PERMITTED", text=text),)
    unknown = author_problem(chain.release)
    if unknown is not None:
        return (unknown,)
    made = sorted(part for part, people in chain.release.authors.items() if actor.person in people)
    if made or actor.person in {one.sealed_by for one in same}:
        what = f"made {', '.join(made)} of" if made else "sealed"
        text = f"{actor.person} {what} this release or one of the same content. Two others must lift its quarantine."
        return (Reason(code="SOD_CONFLICT", text=text, where="author" if made else "sealer"),)
    return ()


def _words(reason: str) -> tuple[Reason, ...]:
    if reason.strip():
        return ()
    return (Reason(code="REASON_NEEDED", text="It needs a reason, which is kept: --reason TEXT."),)


def _no_evidence(stored: StoredRelease, fresh: tuple[Evidence, ...], since: datetime) -> tuple[Reason, ...]:
    if fresh:
        return ()
    text = (
        f"Nothing new is known of {stored.digest[:19]} since {since:%Y-%m-%d %H:%MZ}. Run its evaluation again, or let "
        "a build attach its tests: `pilotage evaluate`, `pilotage evidence add`."
    )
    return (Reason(code="QUARANTINE_NO_NEW_EVIDENCE", text=text, where=stored.digest, observed="0", limit="1"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lift:
    """One lift inside its transaction, permitted."""

    connection: Connection
    stored: StoredRelease
    same: tuple[StoredRelease, ...]
    space: SpaceName | None
    actor: Principal
    reason: str
    at: datetime

    def run(self, fresh: tuple[Evidence, ...], since: datetime) -> Lifted:
        """Keep this person's word; with the second one end the quarantine."""
        stored, space = self.stored, self.space
        may_lift = may(self.actor.roles, Action.QUARANTINE) is None
        word = LiftAsked(person=PersonId(str(self.actor.person)), may_lift=may_lift, at=self.at)
        ask_lift(self.connection, stored.digest, space, word)
        after = max(since, self.at - STANDS)
        standing = [one.may_lift for one in lift_asked(self.connection, stored.digest, space) if one.at > after]
        roles = "security-engineer or security-architect"
        waits_for = waits_for_second(standing, able_code="LIFTER_NEEDED", able_roles=roles)
        names = tuple(item.id for item in fresh)
        if waits_for:
            self._record(EntryKind.RELEASE_RESTORATION_ASKED, stored.digest, names)
            return Lifted(digest=stored.digest, state=stored.state, space=space, evidence=names, waits_for=waits_for)
        if space is not None:
            end_space_quarantine(self.connection, space, stored.workflow, stored.digest, self.at)
            self._record(EntryKind.RELEASE_RESTORED, stored.digest, names)
            return Lifted(digest=stored.digest, state=stored.state, space=space, evidence=names)
        restored = {one.digest: self._restore(one, names) for one in self.same if one.state is ReleaseState.QUARANTINED}
        twins = tuple(digest for digest in restored if digest != stored.digest)
        return Lifted(
            digest=stored.digest, state=restored[stored.digest], space=None, evidence=names, same_content=twins
        )

    def _restore(self, one: StoredRelease, names: tuple[str, ...]) -> ReleaseState:
        """Give a release the state it had before; a deprecated one stays deprecated."""
        said = said_about(self.connection, [one.digest]).get(one.digest, ())
        was = [entry.data.get("was") for entry in said if entry.kind == EntryKind.RELEASE_QUARANTINED]
        deprecated = ReleaseState.DEPRECATED
        state = deprecated if was and was[-1] == deprecated.value else ReleaseState.SEALED
        set_state(self.connection, one.digest, state, note=self.reason)
        self._record(EntryKind.RELEASE_RESTORED, one.digest, names, state=state.value)
        return state

    def _record(self, kind: EntryKind, digest: Digest, names: tuple[str, ...], **data: Json) -> None:
        about: dict[str, Json] = {
            "workflow": self.stored.workflow,
            "parts_digest": self.stored.parts_digest,
            "evidence": list(names[:50]),
            "evidence_total": len(names),
        }
        record(
            self.connection,
            kind,
            actor=self.actor,
            at=self.at,
            subject=digest,
            space=self.space or "",
            data={**about, **data},
            opened={"reason": self.reason.strip()},
        )
