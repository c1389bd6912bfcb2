"""`pilotage report cab`: gather the board's pack from one snapshot, freeze it for the attempt, and record its digest.

Rule: facts, freezing and ledger entry are one transaction under the attempt's lock. A pack that says what is true stays
as it is, so that no vote on it is lost. Fail mode: what could not be gathered is `MISSING`, and the board's criterion
on the pack is not met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control import pack_operation, pack_release
from pilotage.control.board_snapshot import notice_complete
from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import report_of
from pilotage.control.gate_inputs import guarded_spaces, risk_register
from pilotage.control.gate_pack import pack_core
from pilotage.control.gate_roster import notice_changes
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Refusal
from pilotage.gate.pack import Section, assemble, missing_sections
from pilotage.gate.risks import Risk
from pilotage.gate.vocabulary import Half
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.plan_form import plan_digest
from pilotage.store.cab_packs import StoredPack, add_pack, find_pack
from pilotage.store.gate_votes import Attempt, lock_attempt, set_pack
from pilotage.store.releases import StoredRelease, named_release
from pilotage.workspace.gate import Binding, Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class CabPack:
    """The frozen pack of an attempt. `created` is False when the one that was there still says what is true."""

    digest: Digest
    release: Digest
    gate: str
    attempt: int
    facts: Mapping[str, Json]
    as_of: datetime
    created: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the sections in which something is missing."""
        return missing_sections(self.facts)

    def as_json(self) -> dict[str, Json]:
        """Return the result for CLI and API, facts included."""
        return {
            "cab_pack": self.digest,
            "digest": self.release,
            "gate": self.gate,
            "attempt": self.attempt,
            "as_of": to_text(self.as_of),
            "created": self.created,
            "sections_missing": list(self.missing),
            "facts": self.facts,
        }


def make_cab_pack(instance: Instance, *, actor: Principal, release: str, gate: str = "cab") -> CabPack | Refusal:
    """Return the attempt's pack: the frozen one while it holds, else a new one, frozen and recorded."""
    refusal = may(actor.roles, Action.READ)
    if refusal is not None:
        return refusal
    rules = _gate(instance, gate)
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        notice_changes(connection, instance, now)
        stored = named_release(connection, release)
        attempt = _attempt(connection, stored, gate, actor, now)
        chain = open_chain(connection, instance, stored, now)
        head, register = _core(chain, rules, attempt)
        frozen = None if attempt.pack is None else find_pack(connection, attempt.pack)
        facts = _facts(chain, rules, head, register)
        if frozen is not None and (_still_holds(frozen, facts) or report_of(chain, gate).status.is_approved):
            return _made(frozen, created=False)
        pack = StoredPack(
            digest=digest_of_json(facts),
            release=stored.digest,
            gate=gate,
            attempt=attempt.number,
            facts=facts,
            as_of=now,
        )
        add_pack(connection, pack)
        set_pack(connection, attempt, pack.digest)
        with_pack = open_chain(connection, instance, stored, now)
        notice_complete(with_pack, [report_of(with_pack, gate)], by=attempt.opened_by)
        _record(connection, pack, actor, now)
        return _made(pack, created=True)


def kept_pack(instance: Instance, digest: str) -> StoredPack:
    """Return a frozen pack by its digest; raise NotFound."""
    with instance.engine.connect() as connection:
        found = find_pack(connection, Digest(digest))
    if found is None:
        text = f"There is no pack {digest[:80]!r}."
        raise NotFound("PACK_UNKNOWN", text, hint="See `pilotage report cab DIGEST`; write the whole digest.")
    return found


def _gate(instance: Instance, name: str) -> Gate:
    gate = instance.workspace.gates.get(name)
    if gate is None:
        known = ", ".join(sorted(instance.workspace.gates)) or "none"
        raise NotFound("GATE_UNKNOWN", f"There is no gate {name!r}.", hint=f"Declared in gates/: {known}.")
    if Binding.CAB_PACK not in gate.binds:
        hint = "Write cab_pack under `binds` of the board's gate."
        raise UsageError("PACK_NOT_BOUND", f"Votes at gate {name} bind no pack.", hint=hint)
    return gate


def _attempt(connection: Connection, stored: StoredRelease, gate: str, actor: Principal, now: datetime) -> Attempt:
    first = Attempt(
        release=stored.digest,
        gate=gate,
        number=1,
        parts_digest=stored.parts_digest,
        opened_at=now,
        opened_by=str(actor.person or actor.id),
    )
    return lock_attempt(connection, first)


def _core(chain: Chain, gate: Gate, attempt: Attempt) -> tuple[dict[str, Json], tuple[Risk, ...]]:
    """Return the head of the facts with the digests that outdate them, as the gate itself computes them."""
    for name in gate.after:
        report_of(chain, name)
    register = risk_register(chain)
    declared = chain.workflow.rollout
    spaces = chain.instance.workspace.spaces
    core = pack_core(
        earlier={name: report for (name, half), report in chain.reports.items() if half is Half.PRE},
        plan=None if declared is None else plan_digest(declared.plans[declared.default_plan]),
        risks=register,
        spaces=[spaces[SpaceName(name)] for name in guarded_spaces(chain, gate)],
    )
    workspace = chain.instance.workspace
    head: dict[str, Json] = {
        "v": 1,
        "organisation": workspace.organisation,
        "instance": workspace.id,
        "local_demo": workspace.identity.local_demo,
        "gate": gate.name,
        "attempt": attempt.number,
        "release": chain.stored.digest,
        "workflow": chain.workflow.name,
        "as_of": to_text(chain.now),
        "core": core,
    }
    return head, register


def _facts(chain: Chain, gate: Gate, head: Mapping[str, Json], register: tuple[Risk, ...]) -> dict[str, Json]:
    before = tuple(name for (name, half) in chain.reports if half is Half.PRE)
    return assemble(
        head,
        {
            Section.OVERVIEW: pack_release.overview(chain),
            Section.JUSTIFICATION: pack_release.justification(chain),
            Section.ARCHITECTURE: pack_release.architecture(chain),
            Section.CHANGES: pack_release.changes(chain),
            Section.GATES: pack_release.gates(chain, before),
            Section.RISKS: pack_operation.risks(register),
            Section.ACCEPTANCES: pack_operation.acceptances(chain, gate.name),
            Section.ROLLOUT: pack_operation.rollout(chain),
            Section.ROLLBACK: pack_operation.rollback(chain),
            Section.COMMUNICATION: pack_operation.communication(chain),
            Section.RESOURCES: pack_operation.resources(chain),
            Section.EXPIRING: pack_operation.expiring(chain, gate.name),
            Section.SEATS: pack_operation.seats(chain, gate.name),
        },
    )


def _still_holds(frozen: StoredPack, facts: Mapping[str, Json]) -> bool:
    """Tell whether the frozen pack is true still: the same core, and nothing it lacked has come since."""
    same_core = digest_of_json(frozen.facts.get("core")) == digest_of_json(facts["core"])
    return same_core and missing_sections(frozen.facts) == missing_sections(facts)


def _made(pack: StoredPack, *, created: bool) -> CabPack:
    return CabPack(
        digest=pack.digest,
        release=pack.release,
        gate=pack.gate,
        attempt=pack.attempt,
        facts=pack.facts,
        as_of=pack.as_of,
        created=created,
    )


def _record(connection: Connection, pack: StoredPack, actor: Principal, now: datetime) -> None:
    data: dict[str, Json] = {
        "release": pack.release,
        "gate": pack.gate,
        "attempt": pack.attempt,
        "sections_missing": len(missing_sections(pack.facts)),
    }
    record(connection, EntryKind.GATE_PACK_FROZEN, actor=actor, at=now, subject=pack.digest, data=data)
