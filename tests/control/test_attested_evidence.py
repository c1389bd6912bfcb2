"""What a trusted key signed counts as attested; a signature that is wrong makes the file count for nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from tests.control.gate_world import GateWorld, gate_world, junit

from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest, digest_of
from pilotage.core.reason import Refusal
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.testing.evidence import public_text, signed_statement
from pilotage.testing.rollouts import EAST
from pilotage.workspace.gate import Trust

pytestmark = pytest.mark.store
BUILD = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
REPORT = junit(passed=7)
LOAD = b'{"format":"pilotage.load/1","target_url":"https://%s/v1","samples":%s}'


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    made.declare(trusted_keys={"build": public_text(BUILD)})
    return made


def bring(world: GateWorld, envelope: bytes | None, *, kind: str = "tests.smoke", data: bytes = REPORT) -> Evidence:
    upload = Upload(name="report.xml", data=data, kind=kind, attestation=envelope)
    bringer = Bringer(actor=world.person("maria.chen"))
    done = attach_evidence(world.instance, bringer=bringer, release=world.release, uploads=[upload])
    assert not isinstance(done, Refusal)
    return done[0]


def statement(
    world: GateWorld, *, key: Ed25519PrivateKey = BUILD, file: bytes = REPORT, at: str | None = None
) -> bytes:
    subjects: tuple[Digest, ...] = (world.release, digest_of(file))
    return signed_statement(key, subjects, predicate={} if at is None else {"produced_at": at})


def code(item: Evidence) -> str:
    assert item.state is EvidenceState.REJECTED
    assert item.reason is not None
    return item.reason.code


def test_a_signed_file_is_attested_and_says_by_whose_key(world: GateWorld) -> None:
    at = world.inner.clock.now()
    world.inner.clock.advance(timedelta(hours=1))
    item = bring(world, statement(world, at=to_text(at)))
    assert (item.state, item.trust, item.refs["attested_by"]) == (EvidenceState.ACCEPTED, Trust.ATTESTED, "build")
    assert item.produced_at == at
    assert bring(world, None).id == item.id, "the same bytes again, no less trusted before, change nothing"


def test_a_file_a_person_brought_before_is_raised_by_its_attestation(world: GateWorld) -> None:
    claimed = bring(world, None)
    attested = bring(world, statement(world))
    assert (claimed.trust, attested.trust) == (Trust.CLAIMED, Trust.ATTESTED)
    assert claimed.id != attested.id


def test_a_key_nobody_trusts_leaves_no_lower_trust_behind(world: GateWorld) -> None:
    assert code(bring(world, statement(world, key=OTHER))) == "EV_SIGNATURE"
    world.declare(trusted_keys={})
    assert code(bring(world, statement(world))) == "EV_SIGNATURE"


def test_the_attestation_of_another_file_or_release_is_refused(world: GateWorld) -> None:
    assert code(bring(world, statement(world, file=junit(passed=8)))) == "EV_WRONG_SUBJECT"
    envelope = statement(world)
    world.release = world.inner.seal("Another.")
    assert code(bring(world, envelope)) == "EV_WRONG_SUBJECT"


def test_the_time_of_the_statement_is_held_against_the_seal_and_the_clock(world: GateWorld) -> None:
    now = world.inner.clock.now()
    assert code(bring(world, statement(world, at=to_text(now - timedelta(days=1))))) == "EV_BEFORE_SEAL"
    assert code(bring(world, statement(world, at=to_text(now + timedelta(hours=1))))) == "EV_FUTURE"


def test_our_own_kinds_are_not_for_others_to_attest(world: GateWorld) -> None:
    data = b'{"format": "pilotage.permissions/1"}'
    item = bring(world, statement(world, file=data), kind="permissions", data=data)
    assert item.state is EvidenceState.REJECTED


def test_load_on_another_host_is_not_evidence_about_the_space(world: GateWorld) -> None:
    space = replace(world.workspace.spaces[EAST], hosts=("assistant.bank.example",))
    world.declare(spaces={**world.workspace.spaces, EAST: space})
    samples = ("[" + ",".join(f"[{n},40,true]" for n in range(1200)) + "]").encode()
    for host, wanted in ((b"staging.bank.example", "EV_WRONG_TARGET"), (b"assistant.bank.example", None)):
        (item,) = world.attach(("load.expected", LOAD % (host, samples)), space=EAST)
        assert (None if item.reason is None else item.reason.code) == wanted
