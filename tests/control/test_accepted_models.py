"""A model of the provider that no run meets may be accepted, by name, where it answers, while the acceptance lasts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import DEV, QA, GateWorld, gate_world
from tests.control.test_gate_loopholes import accept

from pilotage.control.accept_risk import Accepted
from pilotage.control.accepted_models import accepted_models
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.evaluation.answering_model import Identity
from pilotage.store.model_identity import FIRST, Change, Identities, Place
from pilotage.testing.rollouts import WORKFLOW

pytestmark = pytest.mark.store
RARE, OTHER = Identity(model="m", fingerprint="f9"), Identity(model="m-2")


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    return gate_world(engine)


def accepted(world: GateWorld, space: str = QA, changes: Iterable[Identity] = (RARE, OTHER)) -> frozenset[Identity]:
    known = Identities(
        place=Place(workflow=WORKFLOW, space=SpaceName(space), release=Digest(world.release)),
        answers=FIRST,
        reference=frozenset({Identity(model="m")}),
        changes=tuple(Change(at=world.inner.clock.now(), interaction="i", identity=one) for one in changes),
    )
    with world.inner.engine.begin() as connection:
        return accepted_models(connection, world.instance, known, world.instance.workspace.spaces[SpaceName(space)])


def test_only_the_named_model_is_accepted_there_and_until_the_end(world: GateWorld) -> None:
    assert accepted(world) == frozenset()
    done = accept(world, risk="A rare fingerprint", findings="['MODEL_IDENTITY_CHANGED m (f9)']", criteria="[]")
    assert isinstance(done, Accepted), done
    assert accepted(world) == {RARE}
    assert accepted(world, space=DEV) == frozenset()
    assert accepted(world, changes=[OTHER]) == frozenset()
    world.inner.clock.advance(timedelta(days=21))
    assert accepted(world) == frozenset()
