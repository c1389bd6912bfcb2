"""Risk acceptances: who may accept what, for how long, and what nobody may (gates.md 4.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import (
    AUTHOR,
    DAY,
    EAST,
    GOOD_LOAD,
    GOOD_SCAN,
    GOOD_TESTS,
    HIGH_APPROVERS,
    HOUR,
    NOW,
    OWNER,
    SEALER,
    SEATS,
    SPONSOR,
    Accepting,
    adding,
    board_gate,
    empty,
    evidence,
    finding,
    holder,
    knowing,
    other,
    swap,
    voted,
)

from pilotage.core.ids import PersonId
from pilotage.evidence.records import Severity
from pilotage.evidence.vex import VexStatement, component_names
from pilotage.gate.acceptance import acceptance_problems, accepting, approver_problem
from pilotage.gate.decide import decide
from pilotage.gate.records import Approver, Claim, GateInput, OpenCheck, OpenThen, RiskAcceptance, Tenure
from pilotage.gate.vocabulary import GateStatus, RiskLevel, VoteDecision
from pilotage.identity.roles import Role
from pilotage.release.authorship import UNKNOWN
from pilotage.workspace.gate import Accept, Trust

SLOW = evidence("load.peak", {**GOOD_LOAD, "p95": 2_100.0})
RISK_OFFICER = holder(Role.RISK_MANAGEMENT, 1)
MEDIUM_APPROVER = (Approver(person=RISK_OFFICER, role=Role.RISK_MANAGEMENT, at=NOW - HOUR),)


def slow() -> GateInput:
    """Return a board gate whose latency criterion (medium) fails."""
    return swap(empty(board_gate()), SLOW)


def covered(risk: RiskAcceptance, given: GateInput | None = None) -> bool:
    """Tell whether the acceptance covers the failed criterion."""
    report = decide(replace(given or slow(), acceptances=(risk,)), NOW)
    by_id = {one.id: one for one in report.criteria}
    assert report.status in {GateStatus.READY, GateStatus.COLLECTING, GateStatus.EXPIRED, GateStatus.IN_REVIEW}
    return by_id["latency"].holds


def problems(risk: RiskAcceptance, given: GateInput | None = None) -> set[str]:
    current = (SLOW,) if given is None else given.evidence
    return {one.code for one in acceptance_problems(risk, given or slow(), NOW, current)}


MEDIUM = Accepting(criteria=("latency",), severity=RiskLevel.MEDIUM, approvers=MEDIUM_APPROVER)


def test_an_acceptance_from_the_right_authority_covers_the_criterion() -> None:
    assert covered(MEDIUM.made())
    assert covered(Accepting(criteria=("latency",)).made())
    assert problems(MEDIUM.made()) == set()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"criteria": ("*",)}, "RISK_BLANKET"),
        ({"criteria": ("all",)}, "RISK_BLANKET"),
        ({"criteria": ()}, "RISK_BLANKET"),
        ({"spaces": ()}, "RISK_BLANKET"),
        ({"spaces": ("*",)}, "RISK_BLANKET"),
        ({"spaces": ("production-eu-space",)}, "RISK_BLANKET"),
        ({"release": "*"}, "RISK_BLANKET"),
        ({"release": other("another")}, "RISK_BLANKET"),
        ({"gate": "uat"}, "RISK_BLANKET"),
        ({"expires": NOW + 90 * DAY}, "RISK_EXPIRY"),
        ({"expires": NOW}, "RISK_EXPIRY"),
        ({"created": NOW + DAY, "expires": NOW + 2 * DAY}, "RISK_EXPIRY"),
        ({"withdrawn_at": NOW - HOUR}, "RISK_EXPIRY"),
        ({"revoke_when": (Claim(kind="load.peak", text="p95 > 2050"),)}, "RISK_EXPIRY"),
        ({"revoke_when": (Claim(kind="load.peak", text="whatever"),)}, "RISK_EXPIRY"),
        ({"renewals": 2, "first_created": NOW - 10 * DAY}, "RISK_CHAINED"),
        ({"renewals": 1, "first_created": NOW - 170 * DAY}, "RISK_CHAINED"),
        ({"renewals": 1, "first_created": NOW - 10 * DAY, "same_rationale": True}, "RISK_CHAINED"),
        ({"rationale": "It is fine."}, "RISK_RATIONALE"),
        ({"controls": (" ",)}, "RISK_CONTROLS"),
        ({"severity": RiskLevel.CRITICAL}, "RISK_NOT_ACCEPTABLE"),
        ({"approvers": ()}, "RISK_AUTHORITY"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_an_acceptance_with_any_fault_covers_nothing(change: dict[str, object], code: str) -> None:
    risk = replace(MEDIUM.made(), **change)  # type: ignore[arg-type]
    assert code in problems(risk)
    assert not covered(risk)


def test_one_renewal_with_a_new_rationale_holds() -> None:
    assert covered(replace(MEDIUM.made(), renewals=1, first_created=NOW - 60 * DAY))
    assert covered(replace(MEDIUM.made(), revoke_when=(Claim(kind="load.peak", text="p95 > 2500"),)))


@pytest.mark.parametrize(
    ("severity", "most"), [(RiskLevel.LOW, 180), (RiskLevel.MEDIUM, 90), (RiskLevel.HIGH, 30)], ids=str
)
def test_each_severity_has_its_longest_time(severity: RiskLevel, most: int) -> None:
    made = Accepting(criteria=("latency",), severity=severity, created=NOW - HOUR, expires=NOW - HOUR + most * DAY)
    approvers = HIGH_APPROVERS if severity is RiskLevel.HIGH else MEDIUM_APPROVER
    assert "RISK_EXPIRY" not in problems(replace(made, approvers=approvers).made())
    assert "RISK_EXPIRY" in problems(replace(made, approvers=approvers, expires=made.expires + HOUR).made())


@pytest.mark.parametrize(
    ("severity", "roles", "enough"),
    [
        (RiskLevel.LOW, (Role.BUSINESS_OWNER,), True),
        (RiskLevel.LOW, (Role.RISK_MANAGEMENT,), True),
        (RiskLevel.LOW, (Role.IT_DIRECTOR,), False),
        (RiskLevel.MEDIUM, (Role.RISK_MANAGEMENT,), True),
        (RiskLevel.MEDIUM, (Role.BUSINESS_OWNER,), False),
        (RiskLevel.HIGH, (Role.RISK_MANAGEMENT,), False),
        (RiskLevel.HIGH, (Role.EXECUTIVE_SPONSOR,), False),
        (RiskLevel.HIGH, (Role.RISK_MANAGEMENT, Role.EXECUTIVE_SPONSOR), True),
        (RiskLevel.CRITICAL, (Role.RISK_MANAGEMENT, Role.EXECUTIVE_SPONSOR), False),
    ],
)
def test_the_table_of_authorities(severity: RiskLevel, roles: tuple[Role, ...], enough: bool) -> None:
    people = {Role.EXECUTIVE_SPONSOR: SPONSOR, Role.RISK_MANAGEMENT: RISK_OFFICER}
    approvers = tuple(Approver(person=people.get(role, holder(role)), role=role, at=NOW - HOUR) for role in roles)
    risk = Accepting(criteria=("latency",), severity=severity, approvers=approvers).made()
    assert ("RISK_AUTHORITY" not in problems(risk)) is enough


def test_one_person_in_both_roles_is_not_two_persons() -> None:
    given = slow()
    both = Tenure(role=Role.EXECUTIVE_SPONSOR, person=RISK_OFFICER, since=NOW - 90 * DAY)
    given = replace(given, roster=replace(given.roster, tenures=(*given.roster.tenures, both)))
    twice = (HIGH_APPROVERS[0], Approver(person=RISK_OFFICER, role=Role.EXECUTIVE_SPONSOR, at=NOW - HOUR))
    assert "RISK_AUTHORITY" in problems(Accepting(criteria=("latency",), approvers=twice).made(), given)


def test_an_acceptance_is_no_weaker_than_the_criterion_or_the_finding_asks() -> None:
    low = replace(MEDIUM, severity=RiskLevel.LOW).made()
    assert problems(low) == set()
    assert not covered(low)
    found = replace(SLOW, findings=(finding(Severity.HIGH),))
    assert not covered(MEDIUM.made(), swap(empty(board_gate()), found))
    assert covered(Accepting(criteria=("latency",)).made(), swap(empty(board_gate()), found))


@pytest.mark.parametrize("severity", [Severity.CRITICAL, Severity.UNKNOWN], ids=str)
def test_nobody_accepts_an_open_critical_or_unknown_finding(severity: Severity) -> None:
    found = replace(SLOW, findings=(finding(severity),))
    assert not covered(Accepting(criteria=("latency",)).made(), swap(empty(board_gate()), found))


def test_nobody_accepts_what_is_marked_never() -> None:
    bad = evidence("scan.sast", {**GOOD_SCAN, "critical": 1.0}, findings=(finding(Severity.CRITICAL),))
    given = swap(empty(board_gate()), bad)
    risk = Accepting(criteria=("no-critical", "no-high")).made()
    report = decide(replace(given, acceptances=(risk,)), NOW)
    assert report.status is GateStatus.COLLECTING
    assert Accept.NEVER.value in {one.accept for one in report.criteria if not one.holds}


def near(**change: object) -> GateInput:
    return replace(slow(), **change)  # type: ignore[arg-type]


_RELEASE = empty(board_gate()).release
_ROSTER = empty(board_gate()).roster


@pytest.mark.parametrize(
    ("given", "risk"),
    [
        (near(release=replace(_RELEASE, authors={"prompt": frozenset({RISK_OFFICER})})), MEDIUM.made()),
        (near(release=replace(_RELEASE, sealer=RISK_OFFICER)), MEDIUM.made()),
        (slow(), replace(MEDIUM.made(), requester=RISK_OFFICER)),
        (slow(), replace(MEDIUM.made(), owner=RISK_OFFICER)),
        (near(roster=replace(_ROSTER, reports_to={RISK_OFFICER: PersonId("x"), PersonId("x"): OWNER})), MEDIUM.made()),
        (knowing(slow(), editors={RISK_OFFICER: NOW - DAY}), MEDIUM.made()),
        (slow(), replace(MEDIUM.made(), approvers=(replace(MEDIUM_APPROVER[0], is_person=False),))),
        (
            adding(
                slow(),
                [evidence("tests.unit", GOOD_TESTS, suite="own", trust=Trust.CLAIMED, producer=RISK_OFFICER)],
            ),
            MEDIUM.made(),
        ),
        (knowing(slow(), promoters=frozenset({RISK_OFFICER})), MEDIUM.made()),
    ],
    ids=[
        *("author", "sealer", "requester", "owner", "reports to the owner", "editor", "service"),
        *("source of a claim that counts", "promoter"),
    ],
)
def test_whoever_stands_too_near_does_not_accept(given: GateInput, risk: RiskAcceptance) -> None:
    assert problems(MEDIUM.made()) == set()
    assert problems(risk, given) == {"RISK_AUTHORITY"}
    assert not covered(risk, given)


def test_nobody_accepts_a_risk_of_a_release_whose_authors_are_not_known() -> None:
    given = near(release=replace(_RELEASE, authors={"prompt": frozenset({UNKNOWN})}))
    assert problems(MEDIUM.made(), given) == {"RISK_AUTHORITY"}
    found = approver_problem(MEDIUM.made(), MEDIUM_APPROVER[0], given, NOW, ())
    assert found is not None
    assert found.code == "AUTHOR_UNKNOWN"


def test_a_dissenter_does_not_accept_the_risk_of_the_own_dissent() -> None:
    role = Role.RISK_MANAGEMENT
    own = (Approver(person=holder(role), role=role, at=NOW - HOUR / 2),)
    risk = replace(MEDIUM, approvers=own).made()
    voting = voted(slow(), role, decision=VoteDecision.ABSTAIN)
    assert problems(risk) == set()
    assert problems(risk, voting) == {"RISK_AUTHORITY"}


def test_a_voter_accepts_only_from_the_risk_seat_and_up_to_medium() -> None:
    role = Role.RISK_MANAGEMENT
    given = voted(empty(board_gate()), role)
    own = Approver(person=holder(role), role=role, at=NOW - HOUR / 2)
    assert problems(replace(MEDIUM, approvers=(own,)).made(), given) == set()
    assert "RISK_AUTHORITY" in problems(
        Accepting(criteria=("latency",), approvers=(own, HIGH_APPROVERS[1])).made(), given
    )


def test_the_role_is_held_when_the_risk_is_accepted() -> None:
    late = tuple(replace(one, since=NOW) if one.person == RISK_OFFICER else one for one in slow().roster.tenures)
    assert problems(MEDIUM.made(), near(roster=replace(_ROSTER, tenures=late))) == {"RISK_AUTHORITY"}


def test_the_people_of_the_builders_are_different() -> None:
    assert len({AUTHOR, SEALER, SPONSOR, OWNER, RISK_OFFICER}) == 5
    assert EAST in MEDIUM.spaces
    assert len(SEATS) == 6


# The other way past a scanner's word: a statement that the component is not affected


def cleared(*, trust: Trust = Trust.PUSHED, days: int = 1, advisory: str = "CVE-1") -> GateInput:
    scan = evidence("scan.sast", {**GOOD_SCAN, "critical": 1.0}, findings=(finding(Severity.CRITICAL),))
    names = component_names(name="lib", version="1.0", purl="pkg:pypi/lib@1.0")
    said = VexStatement(advisories=(advisory,), components=names).as_text()
    vex = evidence("vex", {}, names={"vex_statements": (said,)}, trust=trust, at=NOW - days * DAY)
    bom = evidence("sbom", {"components": 1.0}, names={"components": names})
    return swap(empty(board_gate()), scan, vex, bom)


def test_a_vex_statement_clears_its_finding_and_is_bound_by_votes() -> None:
    report = decide(cleared(), NOW)
    assert report.status is GateStatus.READY
    assert {"vex", "sbom"} <= set(report.evidence)


@pytest.mark.parametrize(
    "given",
    [cleared(trust=Trust.CLAIMED), cleared(days=31), cleared(advisory="CVE-2")],
    ids=["on somebody's word", "old", "another advisory"],
)
def test_another_statement_clears_nothing(given: GateInput) -> None:
    assert decide(given, NOW).status is GateStatus.COLLECTING


def test_a_finding_of_the_promotion_is_accepted_by_one_in_force_of_its_level_that_names_it() -> None:
    given = slow()
    named = Accepting(change={"findings": ("MODEL_NOT_PINNED",)}).made()

    def accepted(*risks: RiskAcceptance, level: RiskLevel = RiskLevel.MEDIUM) -> RiskAcceptance | None:
        held = replace(given, acceptances=risks)
        return accepting("MODEL_NOT_PINNED", held, NOW, held.evidence, level=level)

    assert accepted() is None
    assert accepted(named) == named
    assert accepted(replace(named, findings=("FREEZE",))) is None
    assert accepted(replace(named, severity=RiskLevel.LOW)) is None
    assert accepted(replace(named, expires=NOW - HOUR), named) == named


def test_what_was_open_is_stored_with_each_value_and_its_series() -> None:
    check = OpenCheck(kind="load.peak", condition="p95 <= 2000", observed="2100")
    found = OpenThen(criterion="latency", checks=(check, replace(check, series="eu")), findings=("F",))
    assert found.as_json() == {
        "criterion": "latency",
        "checks": [["load.peak", "p95 <= 2000", "2100"], ["load.peak", "p95 <= 2000", "2100", "eu"]],
        "findings": ["F"],
    }
