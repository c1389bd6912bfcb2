"""Attempts to get past a gate, each in the words of its three ways: use case, HTTP, command line."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from tests.control.gate_world import (
    BUILD,
    DAY,
    DEV,
    FELIX,
    PROMOTER,
    QA,
    RISK_OFFICER,
    GateWorld,
)
from tests.control.rollout_world import DECIDER, STARTER
from tests.control.three_ways import Attempt, query, written

from pilotage.control.accept_risk import RiskText, accept_risk
from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.emergency_change import EmergencyRequest, declare_emergency
from pilotage.control.gate_duties import Handing, delegate_role, reopen_gate
from pilotage.control.gate_status import gate_status
from pilotage.control.promote_release import promote_release
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.sign_gate import Ballot, sign_gate
from pilotage.control.standard_change import declare_standard
from pilotage.control.start_rollout import StartRequest, start_rollout
from pilotage.gate.vocabulary import Half
from pilotage.identity.roles import Role
from pilotage.testing.rollouts import EAST, WORKFLOW

ENGINEER = "senior-engineer"
ON_CALL, DIRECTOR, MANAGER = "dina.kowalski", "yusuf.demir", "joseph.mbeki"
LONG = "The smoke suite moves to the new runner this week; the same paths run in regression meanwhile. "
WHY = "Answers quote a withdrawn rate sheet; customers are told wrong rates."


@dataclass(kw_only=True)
class Place:
    """Where a row plays: a world that may be changed, and a folder for the files of the command line."""

    world: GateWorld
    folder: Path


Made = Callable[[Place], Attempt]


def sign(
    who: str = FELIX, gate: str = "code-review", role: str = ENGINEER, decision: str = "approve", **how: Any
) -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        bind = how["bind"](place) if callable(how.get("bind")) else how.get("bind")
        shown = shown_bind(world, gate) if bind is None else bind
        ballot = Ballot(
            gate=gate,
            role=role,
            decision=decision,
            comment="Looked at it all.",
            checklist={"read the diff": "yes"},
            bind=shown,
            delegated_from=how.get("for_"),
        )
        body = {
            "role": role,
            "decision": decision,
            "bind": shown,
            "comment": ballot.comment,
            "checklist": ballot.checklist,
            "delegated_from": how.get("for_"),
        }
        words = ["--gate", gate, "--role", role, "--decision", decision, "--comment", ballot.comment, "--checked"]
        words += ["--for", how["for_"]] if "for_" in how else []
        actor = BUILD if who == "build" else world.person(who)
        return Attempt(
            who=who,
            call=lambda: sign_gate(world.instance, actor=actor, release=world.release, ballot=ballot),
            http=("POST", f"/releases/{world.release}/gates/{gate}/votes", body),
            cli=None if who == "build" else ("gate", "sign", world.release, *words, "--bind", shown),
        )

    return made


def shown_bind(world: GateWorld, gate: str) -> str:
    return world.status(gate).bind


def status(gate: str = "code-review") -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        return Attempt(
            who=FELIX,
            call=lambda: gate_status(world.instance, world.release, gate=gate, half=Half.PRE),
            http=("GET", f"/releases/{world.release}/gates/{gate}", None),
            cli=("gate", "status", world.release, "--gate", gate),
        )

    return made


def promote(space: str = DEV, who: str = PROMOTER) -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        return Attempt(
            who=who,
            call=lambda: promote_release(world.instance, actor=world.person(who), release=world.release, space=space),
            http=("POST", f"/releases/{world.release}/promotions", {"space": space}),
            cli=("promote", world.release, "--space", space),
        )

    return made


def attach(
    kind: str,
    *files: bytes,
    who: str = "maria.chen",
    attestation: Callable[[Place], bytes] | None = None,
    suites: tuple[str, ...] = (),
) -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        envelope = None if attestation is None else attestation(place)
        uploads = [
            Upload(
                name=f"{number}.txt",
                data=data,
                kind=kind,
                suite=suites[number] if suites else "",
                attestation=envelope,
            )
            for number, data in enumerate(files)
        ]
        bringer = Bringer(actor=world.person(who))
        paths = [written(place.folder, f"{number}.txt", data) for number, data in enumerate(files)]
        fields = {"name": "0.txt", "kind": kind}
        signed = tuple(word for suite in suites for word in ("--suite", suite))
        if envelope is not None:
            fields["attestation"] = urlsafe_b64encode(envelope).decode()
            signed += ("--attestation", written(place.folder, "signed.json", envelope))
        return Attempt(
            who=who,
            call=lambda: attach_evidence(world.instance, bringer=bringer, release=world.release, uploads=uploads),
            http=None
            if len(files) > 1
            else ("POST", f"/releases/{world.release}/evidence?{query(**fields)}", files[0]),
            cli=("evidence", "add", world.release, *paths, "--kind", kind, *signed),
        )

    return made


def accept(who: str = RISK_OFFICER, gate: str = "qa", **changed: object) -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        fields: dict[str, object] = {
            "risk": "Smoke tests are not there yet",
            "severity": "medium",
            "criteria": "[smoke]",
            "rationale": f'"{LONG}"',
            "compensating_controls": "[Regression covers the same paths]",
            "residual": "{likelihood: 2, impact: 2}",
            "owner": "nadia.brooks",
            "requester": "amara.diallo",
            "spaces": f"[{QA}]",
            "expires": f"{world.inner.clock.now() + 20 * DAY:%Y-%m-%d}",
            **changed,
        }
        data = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
        return Attempt(
            who=who,
            call=lambda: accept_risk(
                world.instance,
                actor=world.person(who),
                release=world.release,
                gate=gate,
                text=RiskText(data=data),
            ),
            http=("POST", f"/releases/{world.release}/gates/{gate}/risks", {"risk": data.decode()}),
            cli=(
                *("gate", "accept-risk", world.release, "--gate", gate),
                *("--file", written(place.folder, "risk.yaml", data)),
            ),
        )

    return made


def delegate(who: str, to: str, *, days: int = 3) -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        until = world.inner.clock.now() + days * DAY
        handing = Handing(to=to, role=Role.SENIOR_ENGINEER, until=until, reason="On leave")
        body = {"to": to, "role": ENGINEER, "reason": "On leave", "days": days}
        return Attempt(
            who=who,
            call=lambda: delegate_role(world.instance, actor=world.person(who), handing=handing),
            http=("POST", "/delegations", body),
            cli=("gate", "delegate", "--to", to, "--role", ENGINEER, "--reason", "On leave", "--days", f"{days}d"),
        )

    return made


def reopen(place: Place) -> Attempt:
    world, reason = place.world, "It is repaired."
    return Attempt(
        who="maria.chen",
        call=lambda: reopen_gate(
            world.instance,
            actor=world.person("maria.chen"),
            release=world.release,
            gate="code-review",
            reason=reason,
        ),
        http=("POST", f"/releases/{world.release}/gates/code-review/attempts", {"reason": reason}),
        cli=("gate", "reopen", world.release, "--gate", "code-review", "--reason", reason),
    )


def emergency(who: str, spaces: tuple[str, ...] = (DEV,)) -> Made:
    def made(place: Place) -> Attempt:
        world = place.world
        about = str(scalar(world, "SELECT id FROM incident ORDER BY detected_at DESC LIMIT 1"))
        request = EmergencyRequest(incident=about, spaces=spaces, reason=WHY)
        body = {"incident": about, "spaces": [*spaces], "reason": WHY}
        return Attempt(
            who=who,
            call=lambda: declare_emergency(
                world.instance, actor=world.person(who), release=world.release, request=request
            ),
            http=("POST", f"/releases/{world.release}/emergencies", body),
            cli=(
                *("gate", "emergency", world.release, "--incident", about),
                *(word for space in spaces for word in ("--space", space)),
                *("--reason", WHY),
            ),
        )

    return made


def rollback_to(target: Callable[[Place], str]) -> Made:
    def made(place: Place) -> Attempt:
        world, to = place.world, target(place)
        request = RollbackRequest(workflow=WORKFLOW, reason="wrong rates", space=EAST, to=to)
        body = {"workflow": WORKFLOW, "reason": "wrong rates", "space": EAST, "to": to}
        return Attempt(
            who=DECIDER,
            call=lambda: roll_back(world.instance, actor=world.person(DECIDER), request=request),
            http=("POST", "/rollbacks", body),
            cli=("rollback", WORKFLOW, "--reason", "wrong rates", "--space", EAST, "--to", to),
        )

    return made


def start(place: Place) -> Attempt:
    world = place.world
    request = StartRequest(release=world.release, space=EAST, accepted=True, per_day=4_800_000)
    body = {"release": world.release, "space": EAST, "accepted": True, "per_day": 4_800_000}
    return Attempt(
        who=STARTER,
        call=lambda: start_rollout(world.instance, world.inner.ports, actor=world.person(STARTER), request=request),
        http=("POST", "/rollouts", body),
        cli=("rollout", "start", world.release, "--space", EAST, "--yes", "--per-day", "4800000"),
    )


def standard(place: Place) -> Attempt:
    world = place.world
    template = str(scalar(world, "SELECT id FROM standard_template LIMIT 1"))
    return Attempt(
        who=PROMOTER,
        call=lambda: declare_standard(
            world.instance, actor=world.person(PROMOTER), release=world.release, template=template
        ),
        http=("POST", f"/releases/{world.release}/standard-changes", {"template": template}),
        cli=("gate", "standard", world.release, "--template", template),
    )


def scalar(world: GateWorld, statement: str) -> Any:
    with world.inner.engine.connect() as connection:
        return connection.scalar(text(statement))
