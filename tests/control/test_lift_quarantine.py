"""A quarantine ends by two persons and evidence that came after it began, and by nothing less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.console.conftest import Bank, bank
from tests.control.gate_world import junit

from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.change_release_state import StateChange, quarantine_release
from pilotage.control.flip_traffic import is_quarantined_here
from pilotage.control.gate_status import gate_status
from pilotage.control.lift_quarantine import Lifted, LiftRequest, lift_quarantine
from pilotage.control.second_person import STANDS
from pilotage.core.digest import Digest
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind, service_principal_id
from pilotage.identity.roles import Role
from pilotage.release.manifest import Manifest, read_manifest
from pilotage.store.releases import add_release, named_release

__all__ = ["bank"]
pytestmark = pytest.mark.store
OFFICER, OTHER, AUTHOR, WORKFLOW, SPACE = "tomas.berg", "hanna.virtanen", "maria.chen", "policy-assistant", "sandbox"
BUILD = Principal(
    id=service_principal_id("build"),
    kind=PrincipalKind.SERVICE,
    roles=frozenset({Role.SERVICE, Role.SECURITY_ENGINEER}),
    label="build",
    via="key",
)


def proof(bank: Bank, *, by: Principal = BUILD) -> None:
    """Let tests of the release pass now."""
    bank.clock.advance(timedelta(minutes=1))
    data = junit(passed=3, at=f"{bank.clock.now():%Y-%m-%dT%H:%M:%SZ}")
    bringer = Bringer(actor=by, pushed_kinds=frozenset({"*"}))
    uploads = [Upload(name="t.xml", data=data, kind="tests.regression")]
    done = attach_evidence(bank.instance, bringer=bringer, release=bank.release, uploads=uploads)
    assert not isinstance(done, Refusal)
    assert [one.reason for one in done] == [None]


def lift(bank: Bank, who: str | Principal, **fields: Any) -> Lifted | Refusal:
    actor = bank.person(who) if isinstance(who, str) else who
    request = LiftRequest(**{"reason": "Repaired, and tested again.", **fields})
    return lift_quarantine(bank.instance, actor=actor, release=bank.release, request=request)


def count(bank: Bank, query: str) -> int:
    with bank.instance.engine.connect() as connection:
        return int(connection.scalar(text(query)) or 0)


def refused(bank: Bank, who: str | Principal, **fields: Any) -> set[str]:
    entries = "SELECT count(*) FROM ledger_entry WHERE kind LIKE 'release.%'"
    before = (count(bank, entries), count(bank, "SELECT count(*) FROM quarantine_lift"))
    done = lift(bank, who, **fields)
    assert isinstance(done, Refusal), done
    assert (count(bank, entries), count(bank, "SELECT count(*) FROM quarantine_lift")) == before
    return {reason.code for reason in done.reasons}


def lifted(bank: Bank, who: str, **fields: Any) -> Lifted:
    done = lift(bank, who, **fields)
    assert isinstance(done, Lifted), done
    return done


@pytest.fixture
def held(bank: Bank) -> Iterator[Bank]:
    """The bank whose release security took out a moment ago."""
    bank.clock.advance(timedelta(hours=1))
    done = quarantine_release(bank.instance, actor=bank.person(OFFICER), release=bank.release, reason="It leaks names.")
    assert isinstance(done, StateChange)
    yield bank
    with bank.instance.engine.connect() as connection:
        state = connection.scalar(text("SELECT state FROM release WHERE digest = :it"), {"it": bank.release})
    if state == "quarantined":
        proof(bank)
        done_by_one = lifted(bank, OFFICER)
        assert not done_by_one.waits_for or lifted(bank, OTHER).state.value == "sealed"


def test_two_persons_and_new_evidence_lift_it(held: Bank) -> None:
    proof(held)
    first = lifted(held, OFFICER)
    assert (first.state.value, [one.code for one in first.waits_for]) == ("quarantined", ["SECOND_PERSON"])
    again = lifted(held, OFFICER)
    assert [one.code for one in again.waits_for] == ["SECOND_PERSON"]
    second = lifted(held, OTHER)
    assert (second.state.value, second.waits_for, len(second.evidence)) == ("sealed", (), 1)
    assert count(held, "SELECT count(*) FROM ledger_entry WHERE kind = 'release.restored'") >= 1
    assert refused(held, OFFICER) == {"NOT_QUARANTINED"}


def test_without_evidence_newer_than_the_quarantine_nobody_lifts_it(held: Bank) -> None:
    assert refused(held, OFFICER) == {"QUARANTINE_NO_NEW_EVIDENCE"}
    proof(held, by=held.person("felix.braun"))
    assert refused(held, OFFICER) == {"QUARANTINE_NO_NEW_EVIDENCE"}


def test_who_made_or_sealed_it_and_services_lift_nothing(held: Bank) -> None:
    proof(held)
    assert refused(held, AUTHOR) == {"SOD_CONFLICT"}
    assert refused(held, BUILD) == {"SOD_SERVICE"}
    assert refused(held, OFFICER, reason=" ") == {"REASON_NEEDED"}


@pytest.fixture
def twin(held: Bank) -> Iterator[Digest]:
    """The same parts, sealed by somebody else over another parent, and quarantined as well."""
    with held.instance.engine.begin() as connection:
        stored = named_release(connection, held.release)
        parts = read_manifest(stored.manifest, digest=stored.digest).parts
        manifest = Manifest(workflow=stored.workflow, parent=stored.digest, parts=parts)
        digest, body = manifest.digest, manifest.to_bytes()
        add_release(connection, replace(stored, digest=digest, parent=stored.digest, manifest=body, sealed_by=OTHER))
    yield digest
    with held.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM release WHERE digest = :digest"), {"digest": digest})


def test_who_sealed_the_same_content_under_another_name_does_not_lift_it(held: Bank, twin: Digest) -> None:
    assert twin != held.release
    proof(held)
    assert refused(held, OTHER) == {"SOD_CONFLICT"}
    assert [one.code for one in lifted(held, "felix.braun").waits_for] == ["SECOND_PERSON", "LIFTER_NEEDED"]


@pytest.mark.parametrize("act", [lift_quarantine, quarantine_release])
def test_who_changes_several_of_one_content_locks_them_all_in_one_order_first(
    held: Bank, twin: Digest, act: Callable[..., object]
) -> None:
    locked: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM release" in statement and "FOR UPDATE" in statement:
            locked.append(statement)

    how = {"request": LiftRequest(reason=" ")} if act is lift_quarantine else {"reason": " "}
    event.listen(held.instance.engine, "before_cursor_execute", note)
    try:
        assert isinstance(act(held.instance, actor=held.person(OFFICER), release=twin, **how), Refusal)
    finally:
        event.remove(held.instance.engine, "before_cursor_execute", note)
    assert [one for one in locked if "parts_digest =" not in one or "ORDER BY" not in one] == []
    assert len(locked) == 1


def test_one_of_the_two_may_quarantine(held: Bank) -> None:
    proof(held)
    lifted(held, OTHER)
    both = lifted(held, "felix.braun")
    assert (both.state.value, [one.code for one in both.waits_for]) == ("quarantined", ["LIFTER_NEEDED"])
    assert lifted(held, OFFICER).state.value == "sealed"


def test_a_word_waits_seven_days_and_never_outlives_a_new_quarantine(held: Bank) -> None:
    proof(held)
    lifted(held, OFFICER)
    held.clock.advance(STANDS)
    assert [one.code for one in lifted(held, OTHER).waits_for] == ["SECOND_PERSON", "LIFTER_NEEDED"]
    assert lifted(held, OFFICER).state.value == "sealed"
    held.clock.advance(timedelta(minutes=1))
    quarantine_release(held.instance, actor=held.person(OFFICER), release=held.release, reason="It leaks again.")
    assert refused(held, OTHER) == {"QUARANTINE_NO_NEW_EVIDENCE"}
    proof(held)
    assert [one.code for one in lifted(held, OTHER).waits_for] == ["SECOND_PERSON", "LIFTER_NEEDED"]


def test_bytes_that_do_not_verify_keep_it_in(held: Bank) -> None:
    proof(held)
    with held.instance.engine.begin() as connection:
        connection.execute(text("UPDATE release SET signature = 'AAAA' || signature"))
    assert "VERIFY_SIGNATURE" in refused(held, OFFICER)
    with held.instance.engine.begin() as connection:
        connection.execute(text("UPDATE release SET signature = substr(signature, 5)"))


def test_a_rollback_in_one_space_is_lifted_there_alone(bank: Bank) -> None:
    values = {"space": SPACE, "workflow": WORKFLOW, "release": bank.release, "at": bank.clock.now()}
    row = "INSERT INTO space_quarantine (space, workflow, release, reason, at) VALUES (:space, :workflow, :release,"
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM space_quarantine"))
        connection.execute(text(f"{row} 'errors', :at)"), values)
    assert refused(bank, OFFICER, space=SPACE) == {"QUARANTINE_NO_NEW_EVIDENCE"}
    assert refused(bank, OFFICER, space="production-eu-space") == {"NOT_QUARANTINED"}
    proof(bank)
    lifted(bank, OTHER, space=SPACE)
    assert lifted(bank, OFFICER, space=SPACE).waits_for == ()
    with bank.instance.engine.connect() as connection:
        assert not is_quarantined_here(connection, SPACE, WORKFLOW, bank.release)


def test_what_commands_wrote_is_as_the_ledger_recorded_it(bank: Bank) -> None:
    proof(bank)
    told = str([one.as_json() for one in gate_status(bank.instance, bank.release)])
    assert "LEDGER_MISMATCH" not in told
