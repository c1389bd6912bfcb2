"""What was there before an attempt to get past a gate: votes, evidence, people, plans, incidents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from tests.control.gate_world import (
    CAB,
    DAY,
    DEV,
    FATIMA,
    FELIX,
    QA,
    REVIEW,
    SEAT_ROLES,
    SEATS,
    junit,
)
from tests.control.loophole_attempts import (
    DIRECTOR,
    MANAGER,
    ON_CALL,
    Made,
    Place,
    emergency,
    promote,
)
from tests.control.rollout_world import small_plan, with_plan

from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.make_cab_pack import CabPack, make_cab_pack
from pilotage.control.manage_incident import open_by_person
from pilotage.control.standard_change import TemplateRequest, propose_template
from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId
from pilotage.evidence.superseding import VERDICT
from pilotage.gate.binding import bind_of
from pilotage.identity.roles import Role
from pilotage.incident.records import Severity
from pilotage.release.manifest import PartKind
from pilotage.testing.evidence import public_text, signed_statement
from pilotage.testing.rollouts import EAST, WORKFLOW
from pilotage.workspace.gate import Accept, Binding, Condition, Criterion, Operator, Signoff, Trust, Via


def sql(statement: str, **values: object) -> Callable[[Place], object]:
    def run(place: Place) -> None:
        with place.world.inner.engine.begin() as connection:
            connection.execute(text(statement), {"release": place.world.release, **values})

    return run


def done(*attempts: Made) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        for one in attempts:
            one(place).call()
            place.world.inner.clock.advance(timedelta(seconds=1))

    return run


def late(by: timedelta) -> Callable[[Place], None]:
    return lambda place: place.world.inner.clock.advance(by)


def reviewed(place: Place) -> None:
    place.world.review()


def then(*steps: Callable[[Place], object]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        for step in steps:
            step(place)

    return run


def pushed(kind: str, data: bytes, space: str | None = None) -> Callable[[Place], object]:
    def run(place: Place) -> None:
        place.world.inner.clock.advance(timedelta(minutes=1))
        place.world.attach((kind, data), space=space)

    return run


def appointed(role: Role, *people: str) -> Callable[[Place], object]:
    def run(place: Place) -> None:
        place.world.inner.clock.advance(timedelta(seconds=1))
        place.world.appoint(role, *people)
        place.world.status("code-review")

    return run


def author_of(part: PartKind) -> Callable[[Place], object]:
    """Let a voter be the author of one part of the release."""
    return lambda place: place.world.authored(FELIX, part)


def trusted(place: Place) -> None:
    place.world.declare(trusted_keys={"build": public_text(_KEY)})


def signed_for(file: bytes) -> Callable[[Place], bytes]:
    """Return a statement that a trusted key made about a file and the release."""
    return lambda place: signed_statement(_KEY, (place.world.release, digest_of(file)), predicate={})


def bound_elsewhere(**elsewhere: object) -> Callable[[Place], str]:
    """Return what a voter of the review would confirm elsewhere: all as it is here, but for these fields."""
    return lambda place: bind_of(replace(place.world.status(REVIEW.name).bound, **elsewhere))  # type: ignore[arg-type]


def two_seats(place: Place) -> None:
    world = place.world
    lead = Role.OPERATIONS_LEAD
    seats = tuple(replace(one, holder=PersonId(SEATS[0])) if one.role is lead else one for one in world.workspace.seats)
    world.declare(seats=seats)
    world.appoint(lead, SEATS[0])
    world.status("cab")
    world.inner.clock.advance(8 * DAY)
    world.attach(("tests.regression", junit(passed=5)))
    world.sign(SEATS[0], "cab", Role.IT_DIRECTOR)


def another_holder(place: Place) -> None:
    world = place.world
    world.sign(SEATS[0], "cab", SEAT_ROLES[0])
    director = Role.SECURITY_DIRECTOR
    seats = tuple(
        replace(one, holder=PersonId("chloe.martin")) if one.role is director else one for one in world.workspace.seats
    )
    world.declare(seats=seats)
    world.status("cab")
    world.inner.clock.advance(8 * DAY)


def weaker(place: Place) -> None:
    first = replace(REVIEW.pre.criteria[0], accept=Accept.LOW)
    gate = replace(REVIEW, pre=replace(REVIEW.pre, criteria=(first,)))
    place.world.declare(gates={**place.world.workspace.gates, REVIEW.name: gate})


def other_plan(place: Place) -> None:
    world = place.world
    world.declare(gates={**world.workspace.gates, CAB.name: replace(CAB, binds=(Binding.PLAN,))})
    world.sign(SEATS[0], "cab", SEAT_ROLES[0])
    world.inner.workspace = with_plan(world.workspace, small_plan())


def bare_qa(place: Place) -> None:
    world = place.world
    world.appoint(Role.QA_LEAD)
    world.declare(gates={**world.workspace.gates, "qa": replace(world.workspace.gates["qa"], after=())})


def resealed(place: Place) -> None:
    place.world.sign(FATIMA, "code-review", Role.SENIOR_ENGINEER, "reject")
    place.world.release = place.world.resealed()
    place.world.attach(("tests.unit", junit()))


def scanned(place: Place) -> None:
    """Ask the gate for no critical finding, and bring a scan that hides one."""
    world = place.world
    clean = Condition(claim="critical", operator=Operator.EQ, limit=0)
    found = Criterion(id="clean", of=("scan.sast",), all=(clean,), accept=Accept.NEVER, trust=Trust.PUSHED)
    gate = replace(REVIEW, pre=replace(REVIEW.pre, criteria=(found,)))
    world.declare(gates={**world.workspace.gates, REVIEW.name: gate})
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("scan.sast", SUPPRESSED))


def measured(place: Place) -> None:
    """Ask the gate for the share of branches that coverage states."""
    rate = Condition(claim="branch_rate", operator=Operator.GE, limit=0.5)
    found = Criterion(id="branches", of=("coverage",), all=(rate,), accept=Accept.MEDIUM, trust=Trust.PUSHED)
    gate = replace(REVIEW, pre=replace(REVIEW.pre, criteria=(found,)))
    place.world.declare(gates={**place.world.workspace.gates, REVIEW.name: gate})


def evaluated(verdict: str, **claims: float) -> Callable[[Place], object]:
    """Ask the gate for what an evaluation run found, and attach one that says this."""
    good = Condition(claim="answer_accuracy_lcb", operator=Operator.GE, limit=0.8)
    found = Criterion(id="answers", of=("evaluation",), all=(good,), accept=Accept.MEDIUM, trust=Trust.ATTESTED)
    gate = replace(REVIEW, pre=replace(REVIEW.pre, criteria=(found,)))

    def run(place: Place) -> None:
        world = place.world
        world.declare(gates={**world.workspace.gates, REVIEW.name: gate})
        world.inner.clock.advance(timedelta(minutes=1))
        own = OwnRun(
            kind="evaluation",
            claims={"scored": 40, **claims},
            body=b"{}",
            produced_at=world.inner.clock.now(),
            summary="40 cases",
            refs={VERDICT: verdict},
        )
        with world.inner.engine.begin() as connection:
            attach_own_run(connection, world.instance, release=world.release, run=own)

    return run


def by_review(place: Place) -> None:
    """Ask for code review; the one there is was given on another commit than the head."""
    signoff = Signoff(role=Role.SENIOR_ENGINEER, count=2, via=(Via.VOTE, Via.REVIEW_CODE))
    gate = replace(REVIEW, pre=replace(REVIEW.pre, signoffs=(signoff,)))
    place.world.declare(gates={**place.world.workspace.gates, REVIEW.name: gate})
    pushed("review.code", OLD_REVIEW)(place)


def incident(place: Place) -> None:
    world = place.world
    open_by_person(
        world.instance,
        actor=world.person(MANAGER),
        workflow=WORKFLOW,
        space=DEV,
        severity=Severity.SEV2,
        summary="Wrong rates.",
    )


def confirmed(place: Place) -> None:
    incident(place)
    done(emergency(ON_CALL), emergency(DIRECTOR))(place)


def served(place: Place) -> None:
    world = place.world
    for prompt in ("Served before.", "Served now."):
        world.inner.serve(world.inner.seal(prompt), [EAST])
        world.inner.clock.advance(timedelta(hours=1))


def template(place: Place) -> None:
    world = place.world
    request = TemplateRequest(reason="Rates change every week; the golden set judges them.")
    propose_template(world.instance, actor=world.person("kwame.asante"), workflow=WORKFLOW, request=request)


def drifted(place: Place) -> None:
    place.world.review()
    sql(
        "INSERT INTO drift (process, space, workflow, release, part, observed, approved, opened_at, report_at)"
        " VALUES ('gateway-1', :space, :workflow, :release, 'release', 'sha256:other', :release, now(), now())",
        space=DEV,
        workflow=WORKFLOW,
    )(place)


def nothing(place: Place) -> None:
    del place


def never(place: Place) -> None:
    """Let an emergency open the first two spaces, with a failed permission test before the second."""
    incident(place)
    done(emergency(ON_CALL, spaces=(DEV, QA)), emergency(DIRECTOR, spaces=(DEV, QA)), promote())(place)
    place.world.attach(("tests.smoke", junit()), ("tests.security", junit(failed=1)), space=DEV)


def outdated(place: Place) -> None:
    """Freeze the board's pack, and bring evidence that it does not hold."""
    world = place.world
    gate = replace(CAB, after=("code-review",), binds=(Binding.CAB_PACK,))
    world.declare(gates={**world.workspace.gates, CAB.name: gate})
    made = make_cab_pack(world.instance, actor=world.person("luis.ortega"), release=world.release)
    assert isinstance(made, CabPack), made
    pushed("tests.unit", junit(passed=9))(place)


def other_space(place: Place) -> None:
    """Change the settings of a space after a vote that bound them."""
    world = place.world
    world.declare(gates={**world.workspace.gates, CAB.name: replace(CAB, binds=(Binding.SPACE_CONFIG,))})
    world.sign(SEATS[0], "cab", SEAT_ROLES[0])
    east = world.workspace.spaces[EAST]
    world.declare(spaces={**world.workspace.spaces, EAST: replace(east, rto_s=(east.rto_s or 0) + 60)})


def edited(place: Place) -> None:
    """Note that a voter changed the rules a moment ago."""
    at = place.world.inner.clock.now()
    sql("INSERT INTO policy_version VALUES ('sha256:edited', :at, :who, '{}')", at=at, who=FELIX)(place)


_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FLOATING: dict[str, Json] = {"provider": "extractive", "model": "x", "pin": {"kind": "floating", "id": "latest"}}
SUPPRESSED = (
    b'{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t", "rules": [{"id": "r", "properties":'
    b' {"security-severity": "9.8"}}]}}, "results": [{"ruleId": "r", "message": {"text": "m"}, "suppressions":'
    b' [{"kind": "inSource"}]}]}]}'
)
OLD_REVIEW = (
    b'{"pull": {"head": {"sha": "new"}}, "commits": [{"sha": "new", "commit": {"tree": {"sha": "t"}}}],'
    b' "reviews": [{"user": {"login": "felix"}, "state": "APPROVED", "commit_id": "old"}]}'
)
LAUGHS = b'<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><testsuite>&lol2;</testsuite>'
NO_REQUESTS = b'{"metrics": {"http_reqs": {"count": 0, "rate": 0}}}'
ONE_RULE = (
    b'{"testEngine": {"name": "axe-core"}, "violations": [], "passes": [{"id": "a"}], "incomplete": [],'
    b' "inapplicable": []}'
)
NOT_A_NUMBER = (
    b'<coverage line-rate="NaN" branch-rate="NaN"><packages><package name="p"><classes><class name="c" filename="a.py">'
    b'<lines><line number="1" hits="1"/></lines></class></classes></package></packages></coverage>'
)
UNTRUE = b'<testsuite tests="9"><testcase name="a"/></testsuite>'
OTHER_UAT = b"scenario,tester,result,at,digest\na,ann,passed,2026-03-01,sha256:" + b"0" * 64 + b"\n"
