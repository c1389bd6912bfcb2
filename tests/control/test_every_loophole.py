"""Every loophole of gates.md 7 by use case, HTTP and command line: the same code, and an unchanged database.

A row is prepared once; as an attempt leaves everything as it was, its three ways are tried one after the other. A way
that cannot even say the attempt (no option, no field) is left out of its row. Rows 20, 21 and 26 need golden cases, a
folder to seal and traffic: `test_loopholes_told.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import (
    BUILD,
    DAY,
    FATIMA,
    FELIX,
    KEIKO,
    QA,
    RISK_OFFICER,
    SEATS,
    GateWorld,
    gate_world,
    junit,
)
from tests.control.loophole_attempts import (
    ENGINEER,
    LONG,
    ON_CALL,
    Made,
    Place,
    accept,
    attach,
    delegate,
    emergency,
    promote,
    reopen,
    rollback_to,
    scalar,
    shown_bind,
    sign,
    standard,
    start,
    status,
)
from tests.control.loophole_situations import (
    FLOATING,
    LAUGHS,
    NO_REQUESTS,
    NOT_A_NUMBER,
    ONE_RULE,
    OTHER_UAT,
    UNTRUE,
    another_holder,
    appointed,
    author_of,
    bare_qa,
    bound_elsewhere,
    by_review,
    confirmed,
    done,
    drifted,
    evaluated,
    incident,
    late,
    measured,
    never,
    nothing,
    other_plan,
    other_space,
    outdated,
    pushed,
    resealed,
    reviewed,
    scanned,
    served,
    signed_for,
    sql,
    template,
    then,
    trusted,
    two_seats,
    weaker,
)
from tests.control.rollout_world import BANK, DECIDER, PER_DAY, STARTER, bank, make_world, small_plan, with_plan
from tests.control.three_ways import Attempt, ThreeWays
from tests.emptied import empty
from typer.testing import CliRunner

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.control.decide_rollout import extend_step
from pilotage.control.load_workspace import load_workspace
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.core.errors import PilotageError
from pilotage.identity.roles import Role
from pilotage.release.authorship import UNKNOWN
from pilotage.release.manifest import PartKind
from pilotage.rollout.states import State
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import CountedTraffic
from pilotage.testing.rollouts import EAST, WORKFLOW
from pilotage.workspace.plan import Step

pytestmark = pytest.mark.store


DECIDED = (
    Step(name="canary", weight=0.05, bake_s=3600, max_s=7200, decide=(Role.OPERATIONS_LEAD,)),
    Step(name="full", weight=1.0, bake_s=3600),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One loophole: its number in gates.md 7, what was there, what is tried, and the code that answers."""

    number: str
    code: str
    tried: Made
    before: Callable[[Place], object] = nothing
    author: str = "maria.chen"


ROWS = (
    Row(number="1", code="SOD_CONFLICT", before=lambda place: place.world.authored(FELIX), tried=sign()),
    Row(number="1 sealer", code="SOD_CONFLICT", author=FELIX, tried=sign()),
    *(
        Row(
            number=f"2 {part.value}",
            code="SOD_CONFLICT",
            before=author_of(part),
            tried=sign(),
        )
        for part in (PartKind.PROMPT, PartKind.CORPUS, PartKind.GOLDEN)
    ),
    Row(number="3", code="SOD_SERVICE", tried=sign("build")),
    Row(
        number="4",
        code="SEAT_DUPLICATE",
        before=two_seats,
        tried=sign(SEATS[0], "cab", "operations-lead"),
    ),
    Row(number="5", code="VOTE_STALE", before=then(reviewed, pushed("tests.unit", junit(passed=2))), tried=status()),
    Row(number="6", code="GATE_NOT_MET", before=then(reviewed, pushed("tests.unit", junit(failed=1))), tried=promote()),
    Row(number="7", code="VOTE_STALE", before=other_plan, tried=status("cab")),
    Row(number="8", code="POLICY_CHANGED", before=then(reviewed, weaker), tried=status()),
    Row(
        number="8 editor",
        code="SOD_CONFLICT",
        before=sql(
            "INSERT INTO policy_version VALUES ('sha256:edited', '2026-03-02T09:02:00Z', :who, '{}')", who=FELIX
        ),
        tried=sign(),
    ),
    Row(
        number="9",
        code="ROSTER_CHANGED",
        before=another_holder,
        tried=sign("chloe.martin", "cab", "security-director"),
    ),
    Row(number="9 empty", code="ROSTER_EMPTY", before=bare_qa, tried=status("qa")),
    Row(
        number="10",
        code="ROLE_TENURE",
        before=then(appointed(Role.SENIOR_ENGINEER, FELIX, KEIKO, "wei.zhang"), late(timedelta(hours=23))),
        tried=sign("wei.zhang"),
    ),
    Row(
        number="10 revoked",
        code="VOTER_INELIGIBLE",
        before=then(reviewed, appointed(Role.SENIOR_ENGINEER, KEIKO, FATIMA)),
        tried=status(),
    ),
    Row(number="11", code="REVOTE_NO_NEW_EVIDENCE", before=done(sign(decision="reject")), tried=sign()),
    Row(number="11 attempt", code="REVOTE_NO_NEW_EVIDENCE", before=done(sign(decision="reject")), tried=reopen),
    Row(number="12", code="REJECTED_PARTS", before=resealed, tried=sign()),
    Row(
        number="13",
        code="VOTE_BIND_MISMATCH",
        tried=sign(bind=lambda place: place.world.status("cab").bind),
    ),
    *(
        Row(number=f"14 {name}", code="VOTE_BIND_MISMATCH", tried=sign(bind=bound_elsewhere(**elsewhere)))
        for name, elsewhere in (
            ("attempt", {"attempt": 2}),
            ("space", {"space": "staging-deployment-space"}),
            ("instance", {"instance": "another-bank"}),
            ("release", {"release": "sha256:" + "0" * 64}),
        )
    ),
    Row(
        number="14 staging",
        code="GATE_NOT_MET",
        before=then(reviewed, done(promote())),
        tried=promote(EAST),
    ),
    Row(number="15", code="GATE_EXPIRED", before=then(reviewed, late(5 * DAY + timedelta(seconds=1))), tried=status()),
    Row(number="16", code="EV_EXPIRED", before=late(15 * DAY), tried=sign()),
    Row(number="16 early", code="EV_BEFORE_SEAL", tried=attach("tests.unit", junit(at="2026-03-01T00:00:00Z"))),
    Row(number="16 future", code="EV_FUTURE", tried=attach("tests.unit", junit(at="2026-03-09T00:00:00Z"))),
    Row(
        number="16 space",
        code="EV_WRONG_SPACE",
        before=then(reviewed, pushed("tests.smoke", junit(), QA)),
        tried=sign("sofia.lindgren", "qa", "qa-lead"),
    ),
    Row(number="16 subject", code="EV_WRONG_SUBJECT", tried=attach("uat", OTHER_UAT)),
    Row(
        number="17",
        code="EV_TRUST",
        before=then(late(timedelta(minutes=1)), done(attach("tests.unit", junit(passed=50)))),
        tried=sign(),
    ),
    Row(number="17 key", code="EV_SIGNATURE", tried=attach("tests.unit", junit(), attestation=lambda _place: b"none")),
    Row(
        number="17 file",
        code="EV_WRONG_SUBJECT",
        before=trusted,
        tried=attach("tests.unit", junit(), attestation=signed_for(junit(passed=8))),
    ),
    Row(number="18", code="EV_EMPTY", tried=attach("tests.unit", junit(passed=0))),
    Row(number="18 requests", code="EV_TOO_SMALL", tried=attach("load.expected", NO_REQUESTS)),
    Row(number="18 rule", code="EV_PARTIAL", tried=attach("accessibility", ONE_RULE)),
    Row(
        number="18 none",
        code="CRITERION_INCONCLUSIVE",
        before=reviewed,
        tried=sign("sofia.lindgren", "qa", "qa-lead"),
    ),
    Row(number="19", code="EV_DUPLICATE_SUITE", tried=attach("tests.unit", junit(passed=4), junit(failed=1))),
    Row(
        number="19 half",
        code="EV_PARTIAL_SET",
        tried=attach("tests.unit", junit(passed=4), LAUGHS, suites=("one", "two")),
    ),
    Row(number="22", code="VOTE_STALE", before=then(reviewed, weaker), tried=status()),
    Row(
        number="23",
        code="RELEASE_QUARANTINED",
        before=sql(
            "INSERT INTO space_quarantine (space, workflow, release, reason, at) VALUES (:space, :workflow, :release,"
            " 'NO-GO', now())",
            space=EAST,
            workflow=WORKFLOW,
        ),
        tried=start,
    ),
    Row(number="25 missing", code="CRITERION_INCONCLUSIVE", before=evaluated("go"), tried=sign()),
    Row(
        number="25 errors",
        code="CRITERION_INCONCLUSIVE",
        before=evaluated("inconclusive", answer_accuracy_lcb=0.99),
        tried=sign(),
    ),
    Row(
        number="25 nothing stated",
        code="CRITERION_INCONCLUSIVE",
        before=then(measured, pushed("coverage", NOT_A_NUMBER)),
        tried=sign(),
    ),
    Row(
        number="28",
        code="LEDGER_MISMATCH",
        before=then(reviewed, sql("UPDATE gate_vote SET attempt = 1, at = now()")),
        tried=promote(),
    ),
    Row(
        number="28 status",
        code="LEDGER_MISMATCH",
        before=then(reviewed, sql("UPDATE evidence SET trust = 'attested'")),
        tried=status(),
    ),
    Row(number="27 space", code="SPACE_DRIFT", before=other_space, tried=promote(EAST)),
    Row(number="28 fact", code="FIELD_COMPUTED", tried=attach("fact.deployment", b'{"healthy": 1}')),
    Row(
        number="29a",
        code="EMERGENCY_TWO_PERSONS",
        before=then(incident, done(emergency(ON_CALL))),
        tried=promote(),
    ),
    Row(
        number="29a author",
        code="SOD_CONFLICT",
        before=then(incident, lambda place: place.world.authored(ON_CALL)),
        tried=emergency(ON_CALL),
    ),
    Row(number="29b", code="EMERGENCY_EXPIRED", before=then(confirmed, late(3 * DAY)), tried=promote()),
    Row(
        number="29b review",
        code="EMERGENCY_REVIEW_OVERDUE",
        before=then(confirmed, late(5 * DAY), incident),
        tried=emergency(ON_CALL),
    ),
    Row(number="29b never", code="RISK_NOT_ACCEPTABLE", before=never, tried=promote(QA)),
    Row(
        number="30",
        code="ROLLBACK_TARGET",
        before=served,
        tried=rollback_to(lambda place: place.world.release),
    ),
    Row(number="31a", code="RISK_BLANKET", tried=accept(criteria="['*']")),
    Row(number="31a endless", code="RISK_EXPIRY", tried=accept(expires="2027-03-01")),
    Row(
        number="31a chained",
        code="RISK_CHAINED",
        before=done(accept(), accept(rationale=f'"{LONG} Once more."')),
        tried=accept(rationale=f'"{LONG} And once more again."'),
    ),
    Row(number="31b", code="SOD_CONFLICT", tried=accept(owner=RISK_OFFICER)),
    Row(number="31b authority", code="RISK_AUTHORITY", tried=accept(severity="low")),
    Row(
        number="31b critical",
        code="RISK_NOT_ACCEPTABLE",
        tried=accept(criteria="[authorisation]", severity="high"),
    ),
    Row(
        number="32a",
        code="DELEGATION_CHAIN",
        before=done(delegate(FELIX, "noor.rahman")),
        tried=delegate("noor.rahman", "wei.zhang"),
    ),
    Row(
        number="32a author",
        code="SOD_CONFLICT",
        before=done(delegate(FELIX, "maria.chen")),
        tried=sign("maria.chen", for_=FELIX),
    ),
    Row(
        number="32b",
        code="DELEGATION_EXPIRED",
        before=then(done(delegate(FELIX, "noor.rahman")), late(3 * DAY)),
        tried=sign("noor.rahman", for_=FELIX),
    ),
    Row(number="32b holder", code="DELEGATION_ACTIVE", before=done(delegate(FELIX, "noor.rahman")), tried=sign()),
    Row(number="33", code="VOTE_BIND_MISSING", tried=sign(bind="")),
    Row(number="33 pack", code="PACK_OUTDATED", before=outdated, tried=sign(SEATS[0], "cab", "it-director")),
    Row(number="34", code="NOT_PERMITTED", before=reviewed, tried=promote(who="anita.rao")),
    Row(number="34 gate", code="GATE_NOT_MET", tried=promote()),
    Row(number="34 target", code="DRIFT_RELEASE", before=drifted, tried=promote()),
    Row(number="36", code="CRITERION_NOT_MET", before=scanned, tried=sign()),
    Row(number="37", code="EV_XML_ENTITY", tried=attach("tests.unit", LAUGHS)),
    Row(number="37 zip", code="EV_ARCHIVE", tried=attach("tests.unit", b"PK\x03\x04" + b"\x00" * 40)),
    Row(number="37 large", code="EV_TOO_LARGE", tried=attach("tests.unit", b" " * (64 * 1024 * 1024 + 1))),
    Row(number="38", code="EV_INCONSISTENT", tried=attach("tests.unit", UNTRUE)),
    Row(number="39", code="SIGNOFF_SHORT", before=by_review, tried=status()),
    Row(number="40", code="AUTHOR_UNKNOWN", before=lambda place: place.world.authored(UNKNOWN), tried=sign()),
    Row(number="41", code="STANDARD_OUT_OF_SCOPE", before=template, tried=standard),
    Row(
        number="42",
        code="MODEL_NOT_PINNED",
        before=lambda place: setattr(place.world, "release", place.world.inner.seal("Floating.", model=FLOATING)),
        tried=promote("staging-deployment-space"),
    ),
)


def state_of(world: GateWorld) -> dict[str, object]:
    """Return what an attempt must leave as it was. A file that is refused is kept as rejected: it counts nowhere."""
    rows: dict[str, object] = {name: count for name, count in world.rows().items() if name != "ledger"}
    tables = ("rollout", "standard_change", "emergency_change", "incident", "gate_attempt")
    rows |= {name: scalar(world, f"SELECT count(*) FROM {name}") for name in tables}
    rows["evidence"] = scalar(world, "SELECT count(*) FROM evidence WHERE state = 'accepted'")
    counted = "SELECT count(*) FROM ledger_entry WHERE kind NOT IN ('evidence.rejected', 'workspace.changed')"
    return {**rows, "entries": scalar(world, counted)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number} {row.code}")
def test_each_way_refuses_with_the_code_and_changes_nothing(
    engine: Engine, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin() as connection:
        empty(connection, "standard_template", "emergency_change")
    world = gate_world(engine, author=row.author)
    place = Place(world=world, folder=tmp_path)
    row.before(place)
    ways = ThreeWays(world=world.inner, ports=world.inner.ports, service=BUILD, monkeypatch=monkeypatch)
    attempt = row.tried(place)
    before = state_of(world)
    for way, told in ways.told(attempt):
        assert row.code in told, (way, told)
        assert state_of(world) == before, way


def test_a_status_is_not_written_over_http(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    world = gate_world(engine)
    ways = ThreeWays(world=world.inner, ports=world.inner.ports, service=BUILD, monkeypatch=monkeypatch)
    before = state_of(world)
    path = f"/releases/{world.release}/gates/code-review"
    for method, where, body in (
        ("PATCH", path, {"status": "approved"}),
        ("PUT", path, {"status": "approved"}),
        ("POST", f"{path}/votes", {"role": ENGINEER, "decision": "approve", "bind": "x", "status": "approved"}),
    ):
        attempt = Attempt(who=FELIX, call=partial(list[object]), http=(method, where, body))
        assert dict(ways.told(attempt))["HTTP"] == {"FIELD_COMPUTED"}
    assert state_of(world) == before


def test_a_vote_sent_again_by_another_is_refused_over_http(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    world = gate_world(engine)
    world.sign(FELIX, "code-review", Role.SENIOR_ENGINEER, nonce="click")
    ways = ThreeWays(world=world.inner, ports=world.inner.ports, service=BUILD, monkeypatch=monkeypatch)
    before = state_of(world)
    body = {"role": ENGINEER, "decision": "approve", "bind": shown_bind(world, "code-review"), "nonce": "click"}
    attempt = Attempt(
        who=KEIKO,
        call=lambda: world.sign(KEIKO, "code-review", Role.SENIOR_ENGINEER, nonce="click"),
        http=("POST", f"/releases/{world.release}/gates/code-review/votes", body),
    )
    assert all(told == {"VOTE_REPLAY"} for _, told in ways.told(attempt))
    assert state_of(world) == before


def test_a_second_rollout_and_a_longer_step_are_refused_each_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = CountedTraffic(per_day=dict.fromkeys(PER_DAY, 100.0))
    world = make_world(engine, with_plan(bank(), small_plan(*DECIDED)), observe=traffic)
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old, [EAST])
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    begun = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(begun, Started), begun
    found = GateWorld(inner=world, release=new)
    world.step(begun.rollout.id)
    ways = ThreeWays(world=world, ports=world.ports, service=BUILD, monkeypatch=monkeypatch)
    place = Place(world=found, folder=Path())
    before = state_of(found)
    for way, told in ways.told(start(place)):
        assert "ROLLOUT_ACTIVE" in told, (way, told)
        assert state_of(found) == before, way
    name = begun.rollout.id
    assert world.step(name, timedelta(hours=2)).state is State.DECIDING
    before = state_of(found)
    longer = Attempt(
        who=DECIDER,
        call=lambda: extend_step(world.instance, actor=world.person(DECIDER), rollout=name, seconds=7201, note="x"),
        http=("POST", f"/rollouts/{name}/extensions", {"seconds": 7201, "note": "x"}),
        cli=("rollout", "extend", name, "--by", "121m", "--reason", "x"),
    )
    for way, told in ways.told(longer):
        assert told == {"PLAN_SEALED"}, (way, told)
        assert state_of(found) == before, way


def test_a_workspace_file_that_lowers_a_never_criterion_is_no_workspace(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    shutil.copytree(BANK, folder)
    file = folder / "gates" / "qa.yaml"
    words = file.read_text()
    assert "id: authorisation" in words
    file.write_text(words.replace("id: authorisation", "id: authorised"))
    with pytest.raises(PilotageError, match="POLICY_NEVER"):
        load_workspace(folder)
    result = CliRunner().invoke(make_app(Joined()), ["validate", "--workspace", str(folder)])
    assert (result.exit_code, "POLICY_NEVER" in result.output) == (2, True)
