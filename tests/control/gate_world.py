"""The sample bank with three small gates, a sealed release, a build's key and people: gates through their use cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world
from tests.emptied import empty

from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.gate_status import gate_status
from pilotage.control.instance import Instance
from pilotage.control.sign_gate import Ballot, Signed, sign_gate
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.corpus.settings import DataStage
from pilotage.evidence.records import Evidence
from pilotage.gate.report import GateReport
from pilotage.identity.principal import Principal, PrincipalKind, service_principal_id
from pilotage.identity.roles import Role
from pilotage.release.authorship import Author, How
from pilotage.release.manifest import Manifest, PartKind, read_manifest
from pilotage.store.releases import add_authors, add_release, named_release
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, RolloutWorld
from pilotage.workspace.gate import (
    Accept,
    Board,
    BoardRule,
    Condition,
    Criterion,
    Gate,
    GateHalf,
    Operator,
    Signoff,
    Trust,
)
from pilotage.workspace.records import Workspace

DEV, QA = "dev-deployment-space", "qa-deployment-space"
FELIX, KEIKO, FATIMA = "felix.braun", "keiko.tanaka", "fatima.hassan"
SEATS = ("ingrid.solberg", "carol.whitfield", "yusuf.demir", "arthur.bell", "elena.marchetti", "george.hale")
SEAT_ROLES = (
    Role.IT_DIRECTOR,
    Role.BUSINESS_LEADERSHIP,
    Role.SECURITY_DIRECTOR,
    Role.RISK_MANAGEMENT,
    Role.OPERATIONS_LEAD,
    Role.BUSINESS_SPONSOR,
)
SPONSOR, RISK_OFFICER, PROMOTER = "helena.stroud", "jonas.weber", "hanna.virtanen"
PRODUCTION = (EAST, WEST, EU)
DAY = timedelta(days=1)
_COUNTED = ("gate_vote", "risk_acceptance", "deployment", "gate_delegation", "gate_recusal", "routing")
BUILD = Principal(
    id=service_principal_id("build"),
    kind=PrincipalKind.SERVICE,
    roles=frozenset({Role.SERVICE}),
    label="build",
    via="key",
)


def _zero(claim: str) -> Condition:
    return Condition(claim=claim, operator=Operator.EQ, limit=0)


def _tests(name: str, kind: str, accept: Accept = Accept.MEDIUM) -> Criterion:
    executed = Condition(claim="executed", operator=Operator.GE, limit=2)
    return Criterion(id=name, of=(kind,), all=(_zero("failed"), executed), accept=accept, trust=Trust.PUSHED)


REVIEW = Gate(
    name="code-review",
    guards=DEV,
    trust=Trust.PUSHED,
    pre=GateHalf(
        criteria=(_tests("unit", "tests.unit"),),
        signoffs=(Signoff(role=Role.SENIOR_ENGINEER, count=2, checklist=("read the diff",)),),
        ttl_s=5 * 86_400,
    ),
)
TESTED = Gate(
    name="qa",
    guards=QA,
    after=("code-review",),
    space=DEV,
    trust=Trust.PUSHED,
    pre=GateHalf(
        criteria=(_tests("smoke", "tests.smoke"), _tests("authorisation", "tests.security", Accept.NEVER)),
        signoffs=(Signoff(role=Role.QA_LEAD),),
    ),
)
CAB = Gate(
    name="cab",
    guards=EAST,
    trust=Trust.PUSHED,
    pre=GateHalf(
        criteria=(_tests("regression", "tests.regression"),),
        board=Board(
            seats=SEAT_ROLES,
            rule=BoardRule.UNANIMOUS_OR_RISK_ACCEPTED,
            quorum=4,
            must_vote=(Role.SECURITY_DIRECTOR, Role.RISK_MANAGEMENT),
        ),
        signoffs=(Signoff(role=Role.EXECUTIVE_SPONSOR, after_board=True),),
        ttl_s=14 * 86_400,
    ),
)


def junit(*, passed: int = 3, failed: int = 0, at: str = "") -> bytes:
    """Return a JUnit report."""
    good = "".join(f'<testcase classname="c" name="p{n}"/>' for n in range(passed))
    bad = "".join(f'<testcase classname="c" name="f{n}"><failure message="no"/></testcase>' for n in range(failed))
    stamp = f' timestamp="{at}"' if at else ""
    return f'<testsuite name="s" tests="{passed + failed}" failures="{failed}"{stamp}>{good}{bad}</testsuite>'.encode()


def with_gates(workspace: Workspace, *gates: Gate) -> Workspace:
    """Return the workspace with these gates alone."""
    return replace(workspace, gates={gate.name: gate for gate in gates})


@dataclass(slots=True, kw_only=True)
class GateWorld:
    """A release on its way. `rows()` is what a refusal must leave as it was."""

    inner: RolloutWorld
    release: Digest

    @property
    def instance(self) -> Instance:
        """The instance use cases take."""
        return self.inner.instance

    @property
    def workspace(self) -> Workspace:
        """What is declared now."""
        return self.inner.workspace

    def declare(self, **changed: Any) -> None:
        """Change the workspace, as an edited file does."""
        self.inner.workspace = replace(self.inner.workspace, **changed)

    def appoint(self, role: Role, *people: str) -> None:
        """Let exactly these people hold a role."""
        self.declare(roster={**self.workspace.roster, role: tuple(PersonId(one) for one in people)})

    def person(self, name: str) -> Principal:
        """Return a declared person as a principal."""
        return self.inner.person(name)

    def attach(
        self, *files: tuple[str, bytes], space: str | None = None, by: str | None = None, kinds: str = "*"
    ) -> tuple[Evidence, ...]:
        """Hand in files by kind, pushed by the build's key unless a person brings them."""
        actor = BUILD if by is None else self.person(by)
        pushed = frozenset({kinds}) if by is None else frozenset()
        uploads = [Upload(name=f"f{n}.xml", data=data, kind=kind) for n, (kind, data) in enumerate(files)]
        bringer = Bringer(actor=actor, pushed_kinds=pushed, space=space)
        done = attach_evidence(self.instance, bringer=bringer, release=self.release, uploads=uploads)
        assert not isinstance(done, Refusal), done
        return done

    def sign(
        self, name: str | Principal, gate: str, role: Role, decision: str = "approve", **how: Any
    ) -> Signed | Refusal:
        """Sign as a person."""
        actor = self.person(name) if isinstance(name, str) else name
        how = {"comment": "Looked at it all.", "checklist": {"read the diff": "yes"}, **how}
        ballot = Ballot(gate=gate, role=role.value, decision=decision, **how)
        return sign_gate(self.instance, actor=actor, release=self.release, ballot=ballot)

    def status(self, gate: str) -> GateReport:
        """Return where the release stands at a gate."""
        (report,) = gate_status(self.instance, self.release, gate=gate)
        return report

    def review(self) -> None:
        """Let two senior engineers approve."""
        for who in (FELIX, KEIKO):
            done = self.sign(who, "code-review", Role.SENIOR_ENGINEER)
            assert isinstance(done, Signed), done

    def authored(self, person: str, *kinds: PartKind) -> None:
        """Note that a person made these parts, or all of them."""
        with self.inner.engine.begin() as connection:
            stored = named_release(connection, self.release)
            parts = read_manifest(stored.manifest, digest=stored.digest).parts
            author = Author(person=PersonId(person), how=How.SEALED, ref="", at=self.inner.clock.now())
            for kind in kinds or tuple(parts):
                add_authors(connection, parts[kind], [author])

    def resealed(self) -> Digest:
        """Return the same parts sealed again over another parent."""
        with self.inner.engine.begin() as connection:
            stored = named_release(connection, self.release)
            parts = read_manifest(stored.manifest, digest=stored.digest).parts
            manifest = Manifest(workflow=WORKFLOW, parent=stored.digest, parts=parts)
            again = replace(
                stored, digest=manifest.digest, parent=stored.digest, manifest=manifest.to_bytes(), note="New name"
            )
            add_release(connection, again)
        return manifest.digest

    def rows(self) -> dict[str, int]:
        """Return how many votes, acceptances, deployments, routes and ledger entries there are."""
        with self.inner.engine.connect() as connection:
            found = {name: int(connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0) for name in _COUNTED}
            entries = connection.scalar(text("SELECT count(*) FROM ledger_entry"))
            generation = connection.scalar(text("SELECT coalesce(sum(generation), 0) FROM routing"))
        return {**found, "ledger": int(entries or 0), "generation": int(generation or 0)}


_OF_GATES = ("roster_version", "policy_version", "evidence", "gate_delegation", "stated_fact", "cab_pack")


def gate_world(engine: Engine, *, author: str = "maria.chen") -> GateWorld:
    """Return a world where the release's unit tests passed and nobody has voted."""
    with engine.begin() as connection:
        empty(connection, *_OF_GATES)
    inner = make_world(engine, with_gates(bank(), REVIEW, TESTED, CAB))
    inner.stages = tuple(DataStage)  # one release goes through every space
    world = GateWorld(inner=inner, release=inner.seal("First.", author=author))
    inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.unit", junit()), ("tests.regression", junit()))
    world.status("code-review")
    return world


def codes(done: object) -> set[str]:
    """Return the codes of a refusal."""
    assert isinstance(done, Refusal), done
    return {reason.code for reason in done.reasons}


def told(report: GateReport) -> set[str]:
    """Return every code a report tells."""
    found = {reason.code for reason in (*report.reasons, *report.missing)}
    found |= {check.reason.code for one in report.criteria for check in one.checks if check.reason is not None}
    return found | {reason.code for one in report.signoffs for _, reason in one.not_counted}
