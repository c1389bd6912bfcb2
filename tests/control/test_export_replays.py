"""A decision exported from the store replays bit for bit, whatever happens later, and outsiders verify it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import FELIX, KEIKO, GateWorld, gate_world, junit

from pilotage.adapters.decision_form import input_digest, input_from
from pilotage.adapters.keyring import INSTANCE_KEY, Keyring
from pilotage.control.export_decision import Exported, export_decision
from pilotage.control.instance import Instance
from pilotage.control.ledger_checkpoint import write_checkpoint
from pilotage.control.record_entry import record
from pilotage.control.replay_decision import replay_decision
from pilotage.control.sign_gate import Signed
from pilotage.core.clock import from_text
from pilotage.core.reason import Refusal
from pilotage.gate.decide import decide
from pilotage.gate.export import payload_of, predicate_of, read_envelope, read_predicate, statement
from pilotage.identity.roles import Role
from pilotage.ledger.entry import EntryKind

pytestmark = pytest.mark.store
GATE = "code-review"


@pytest.fixture
def world(own_engine: Engine) -> GateWorld:
    made = gate_world(own_engine)
    with own_engine.begin() as connection:
        record(
            connection,
            EntryKind.RELEASE_SEALED,
            actor="system:test",
            at=made.inner.clock.now(),
            subject=made.release,
            data={"workflow": "policy-assistant"},
        )
    return made


@pytest.fixture
def instance(world: GateWorld, tmp_path: Path) -> Callable[[], Instance]:
    keyring = Keyring.open(tmp_path, {}, create=True)
    return lambda: replace(world.instance, home=tmp_path, keyring=keyring)


def export(world: GateWorld, instance: Callable[[], Instance]) -> Exported:
    """Sign the ledger as it is now and export the decision of now."""
    assert not isinstance(write_checkpoint(instance()), Refusal)
    done = export_decision(instance(), actor=world.person(FELIX), release=world.release, gate=GATE)
    assert isinstance(done, Exported), done
    return done


def plain(bundle: bytes) -> Mapping[str, Any]:
    found = json.loads(bundle)
    assert isinstance(found, Mapping)
    return found


def decided_again(bundle: bytes) -> bytes:
    """Return the statement as a reader makes it of the bundle's input alone."""
    value = plain(bundle)
    release, said = read_predicate(read_envelope(value["envelope"]))
    given = input_from(value["input"])
    at, engine = str(said["at"]), said["engine"]
    assert isinstance(engine, Mapping)
    report = decide(given, from_text(at))
    digest = input_digest(value["input"])
    predicate = predicate_of(report, given, input_digest=digest, engine=str(engine["version"]), at=at)
    return payload_of(statement(name=given.release.workflow, release=release, predicate=predicate))


def approve(world: GateWorld, who: str) -> None:
    done = world.sign(who, GATE, Role.SENIOR_ENGINEER)
    assert isinstance(done, Signed), done


def test_every_decision_on_the_way_replays_bit_for_bit_after_all_of_it(
    world: GateWorld, instance: Callable[[], Instance]
) -> None:
    taken: list[tuple[str, Exported]] = []

    def take() -> None:
        (report,) = [world.status(GATE)]
        taken.append((report.status.value, export(world, instance)))
        world.inner.clock.advance(timedelta(minutes=1))

    take()
    approve(world, FELIX)
    take()
    approve(world, KEIKO)
    take()
    world.attach(("tests.unit", junit(failed=1)))
    take()
    world.attach(("tests.unit", junit()))
    take()
    world.inner.clock.advance(timedelta(days=200))
    take()
    statuses = [status for status, _ in taken]
    assert statuses[:3] == ["ready", "in_review", "approved"]
    assert "approved" not in statuses[3:]
    public = instance().keyring.public(INSTANCE_KEY)
    for status, one in taken:
        found = replay_decision(one.document, key=public)
        assert [(check.name, check.reason) for check in found.checks if check.reason is not None] == []
        assert (found.status, one.status.value) == (status, status)
        assert decided_again(one.document) == read_envelope(plain(one.document)["envelope"]).payload
    assert len({one.document for _, one in taken}) == len(taken)


def test_a_public_verifier_reads_the_statement_and_nothing_but_what_was_signed(
    world: GateWorld, instance: Callable[[], Instance]
) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    signer = pytest.importorskip("securesystemslib.signer", reason="securesystemslib is not installed")
    approve(world, FELIX)
    approve(world, KEIKO)
    made = plain(export(world, instance).document)
    public = instance().keyring.public(INSTANCE_KEY)
    keyid = made["envelope"]["signatures"][0]["keyid"]
    key = signer.SSlibKey(keyid, "ed25519", "ed25519", {"public": public.hex()})
    assert keyid in dsse.Envelope.from_dict(json.loads(json.dumps(made["envelope"]))).verify([key], 1)
    said = json.loads(base64.b64decode(made["envelope"]["payload"]))
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "urn:pilotage:gate-decision:v1"
    assert said["subject"][0]["digest"] == {"sha256": world.release.removeprefix("sha256:")}
    assert (said["predicate"]["gate"], said["predicate"]["status"]) == (GATE, "approved")
    changed = json.loads(json.dumps(made["envelope"]))
    changed["payload"] = base64.b64encode(
        base64.b64decode(changed["payload"]).replace(b"approved", b"rejected")
    ).decode()
    with pytest.raises(Exception, match="signature"):
        dsse.Envelope.from_dict(changed).verify([key], 1)
    other = signer.SSlibKey(keyid, "ed25519", "ed25519", {"public": bytes(range(32)).hex()})
    with pytest.raises(Exception, match=r"signature|key"):
        dsse.Envelope.from_dict(json.loads(json.dumps(made["envelope"]))).verify([other], 1)
