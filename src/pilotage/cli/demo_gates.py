"""The demo's second act: a release goes through every gate by real evidence and the sign-offs of real people.

Each scene calls the use case behind a command. Rule: time is simulated, so that soaks pass; nothing else is. Fail mode:
a step that is refused stops the demo with its reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pilotage.cli.demo_scene import SceneError, agreed
from pilotage.cli.runtime import Question, Runtime
from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.authenticate_key import Caller, authenticate_key
from pilotage.control.create_key import KeyRequest, create_key
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.gate_status import gate_status
from pilotage.control.instance import Instance
from pilotage.control.promote_release import Promoted, promote_release
from pilotage.control.sign_gate import Ballot, sign_gate
from pilotage.core.clock import to_text
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.evaluation.run import RunKind
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.identity.service_key import KeyKind
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.principals import local_principal

DEV, QA, STAGING = "dev-deployment-space", "qa-deployment-space", "staging-deployment-space"
EAST = "production-us-east-space"
WORKFLOW = "policy-assistant"
QUESTION = "What is the daily wire transfer limit for a retail customer?"
PROMOTER = Role.PLATFORM_ENGINEER
_SUITES = (RunKind.EVALUATION, RunKind.PERMISSIONS, RunKind.FAIRNESS, RunKind.REDTEAM)
_ANY = (
    ("any/unit.junit.xml", "tests.unit"),
    ("any/sast.sarif.json", "scan.sast"),
    ("any/deps.pip-audit.json", "scan.deps"),
    ("any/sbom.cdx.json", "sbom"),
    ("any/quality.sonar.json", "quality"),
    ("dev/load-expected.k6.json", "load.expected"),
    ("any/load-stress.k6.json", "load.stress"),
    ("any/security.junit.xml", "tests.security"),
    ("any/encryption.junit.xml", "tests.encryption"),
)
_BY_SPACE = {
    DEV: (
        ("dev/load-expected.k6.json", "load.expected"),
        ("dev/integration.junit.xml", "tests.integration"),
        ("dev/api.junit.xml", "tests.api"),
        ("dev/smoke.junit.xml", "tests.smoke"),
        ("dev/functional.junit.xml", "tests.functional"),
    ),
    QA: (
        ("qa/functional.junit.xml", "tests.functional"),
        ("qa/regression.junit.xml", "tests.regression"),
        ("qa/e2e.junit.xml", "tests.e2e"),
        ("qa/integration.junit.xml", "tests.integration"),
        ("qa/load-expected.k6.json", "load.expected"),
        ("qa/load-stress.k6.json", "load.stress"),
        ("qa/accessibility.axe.json", "accessibility"),
        ("qa/pentest.yaml", "pentest"),
    ),
    STAGING: (
        ("staging/load-peak.k6.json", "load.peak"),
        ("staging/load-sustained.json", "load.sustained"),
        ("staging/failover.yaml", "failover"),
        ("staging/recovery.yaml", "recovery"),
        ("staging/training.csv", "training"),
        ("staging/uat.csv.template", "uat"),
    ),
}


@dataclass(slots=True, kw_only=True)
class ReleasePath:
    """One release on its way. `say` tells a scene; `clock` is the instance's clock."""

    runtime: Runtime
    instance: Instance
    clock: SimulatedClock
    release: str
    say: Callable[[str, str], None]
    ci: Caller | None = None
    spaces: list[str] = field(default_factory=list)

    def walk(self) -> None:
        """Take the release from the evaluation runner to staging."""
        self.evaluate()
        self._push(None, _ANY)
        self._expect("development", GateStatus.APPROVED)
        self.sign("code-review", Role.SENIOR_ENGINEER, count=2)
        self.sign("model-validation", Role.MODEL_RISK)
        for role in (Role.DATA_GOVERNANCE_LEAD, Role.PRIVACY_OFFICER, Role.COMPLIANCE_OFFICER, Role.LEGAL):
            self.sign("compliance", role)
        self.enter(DEV, "into the first space")
        self._push(DEV, _BY_SPACE[DEV])
        self.sign("dev-exit", Role.DEVOPS_LEAD)
        self.soak(DEV)
        self.enter(QA, "into QA")
        self._push(QA, _BY_SPACE[QA])
        self.sign("qa", Role.QA_LEAD)
        self.soak(QA)
        self.enter(STAGING, "into staging")
        self._push(STAGING, _BY_SPACE[STAGING])

    def person(self, role: Role, number: int = 0) -> Principal:
        """Return who holds a role, by the roster."""
        people = self.instance.workspace.roster[role]
        return local_principal(self.instance.workspace, people[number])

    def evaluate(self) -> None:
        """Run the golden set and the three suites."""
        told: list[str] = []
        actor = self.person(Role.MODEL_RISK)
        for kind in _SUITES:
            request = EvaluationRequest(release=self.release, kind=kind)
            run = agreed(start_evaluation(self.instance, actor=actor, request=request))
            done = self.runtime.drive(self.instance, run.id, lambda _: None)
            told.append(f"{kind.value} {done.run.verdict or done.run.state}")
        self.say("The release is measured", "; ".join(told) + ".")

    def _push(self, space: str | None, files: tuple[tuple[str, str], ...]) -> None:
        caller = self.ci or self._service()
        folder = Path(self.instance.root) / "evidence"
        for file, kind in files:
            data = (folder / file).read_bytes()
            if file.endswith(".template"):
                text = data.decode().replace("{digest}", self.release).replace("{at}", to_text(self.clock.now()))
                data = text.encode()
            upload = Upload(name=file.removesuffix(".template"), data=data, kind=kind)
            bringer = Bringer(actor=caller.principal, pushed_kinds=caller.evidence_kinds, space=space)
            (item,) = agreed(attach_evidence(self.instance, bringer=bringer, release=self.release, uploads=[upload]))
            if item.reason is not None:
                message = f"{file} was refused: {item.reason.code} {item.reason.text}"
                raise SceneError(message)
        where = space or "no space"
        self.say("Evidence arrives", f"{len(files)} files pushed by the build's key for {where}.")

    def _service(self) -> Caller:
        admin = self.person(Role.WORKSPACE_ADMIN)
        request = KeyRequest(
            kind=KeyKind.SERVICE,
            name="build",
            owner=PersonId(str(admin.person)),
            scopes=("evidence:*",),
        )
        issued = agreed(create_key(self.instance, actor=admin, request=request))
        self.ci = authenticate_key(self.instance, issued.text)
        return self.ci

    def _expect(self, gate: str, wanted: GateStatus) -> None:
        (report,) = gate_status(self.instance, self.release, gate=gate)
        if report.status is not wanted:
            why = "; ".join(reason.text for reason in (*report.reasons, *report.missing)[:4])
            message = f"Gate {gate} is {report.status}, not {wanted}: {why}"
            raise SceneError(message)
        self.say(f"Gate {gate}", f"{report.status.value}: {len(report.criteria)} criteria met by evidence alone.")

    def sign(
        self,
        gate: str,
        role: Role,
        *,
        count: int = 1,
        comment: str = "",
        space: str | None = None,
        half: Half = Half.PRE,
    ) -> None:
        """Let as many people as are asked for approve in a role, of those who may."""
        for _ in range(count):
            (report,) = gate_status(self.instance, self.release, gate=gate, space=space, half=half)
            asked = next(one for one in report.signoffs if one.role is role)
            free = [who for who in asked.eligible if who not in asked.approved_by]
            if not free:
                message = f"Nobody may sign {gate} as {role.value}."
                raise SceneError(message)
            who = local_principal(self.instance.workspace, free[0])
            self.cast(gate, role, who, "approve", comment=comment, space=space, half=half)

    def cast(
        self,
        gate: str,
        role: Role,
        who: Principal,
        decision: str,
        *,
        comment: str = "",
        space: str | None = None,
        half: Half = Half.PRE,
    ) -> None:
        """Let one person decide at a gate, and tell it."""
        rules = self.instance.workspace.gates[gate]
        asked = rules.post if half is Half.POST and rules.post is not None else rules.pre
        answers = {item: "yes" for one in asked.signoffs if one.role is role for item in one.questions}
        ballot = Ballot(
            gate=gate, role=role.value, decision=decision, checklist=answers, comment=comment, space=space, half=half
        )
        done = agreed(sign_gate(self.instance, actor=who, release=self.release, ballot=ballot))
        said = f" ({comment})" if comment else ""
        self.say(
            f"Gate {gate}",
            f"{who.label} {decision}s as {role.value}{said}; the gate is {done.report.status.value.replace('_', ' ')}.",
        )

    def enter(self, space: str, what: str) -> Promoted:
        """Promote the release into a space and ask it a question there."""
        who = self.person(PROMOTER)
        done = agreed(promote_release(self.instance, actor=who, release=self.release, space=space))
        self.say(f"Promotion {what}", f"{who.label} brings the release into {space}: {done.status}.")
        if done.status == "active":
            self.spaces.append(space)
            self.ask_everywhere()
        return done

    def ask_everywhere(self) -> None:
        """Ask one question in every space the release serves: what stands there must answer, not only once."""
        asker = local_principal(self.instance.workspace, PersonId("omar.haddad"))
        for space in self.spaces:
            self.runtime.ask(self.instance, asker, Question(workflow=WORKFLOW, text=QUESTION, space=space))

    def soak(self, space: str) -> None:
        """Let the time pass that a release must be healthy in a space."""
        found = next(one for name, one in self.instance.workspace.spaces.items() if name == space)
        self.clock.advance(timedelta(seconds=found.soak_s + 60))
        self.ask_everywhere()
        self.say("Time passes", f"{found.soak_s // 3600} h of healthy answers in {space}.")

    def try_shortcut(self, space: str) -> Refusal:
        """Try to enter a space too early, and return the refusal."""
        done = promote_release(self.instance, actor=self.person(PROMOTER), release=self.release, space=space)
        if not isinstance(done, Refusal):
            message = f"The shortcut into {space} was not refused."
            raise SceneError(message)
        return done
