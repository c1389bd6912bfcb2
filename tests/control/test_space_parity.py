"""Staging is as production is, but for what its file lists; what else differs keeps a release from acceptance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import GateWorld, gate_world

from pilotage.control.gate_status import gate_status
from pilotage.core.ids import SpaceName
from pilotage.gate.report import CriterionResult
from pilotage.space.digest import differences
from pilotage.testing.rollouts import EAST
from pilotage.workspace.gate import Condition, Criterion, Gate, GateHalf, Operator, Trust

pytestmark = pytest.mark.store
STAGING = SpaceName("staging-deployment-space")
ASKED = "unapproved_differences_to_production"
PARITY = Gate(
    name="uat",
    guards="cab",
    space=STAGING,
    trust=Trust.PUSHED,
    pre=GateHalf(
        criteria=(
            Criterion(
                id="identical",
                of=("fact.space",),
                all=(Condition(claim=ASKED, operator=Operator.EQ, limit=0),),
                trust=Trust.PUSHED,
            ),
        )
    ),
)


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    made.declare(gates={**made.workspace.gates, "uat": PARITY})
    return made


def identical(world: GateWorld, **changed: Any) -> CriterionResult:
    """Return the criterion with these settings of staging changed."""
    spaces = world.workspace.spaces
    world.declare(spaces={**spaces, STAGING: replace(spaces[STAGING], **changed)})
    (report,) = gate_status(world.instance, world.release, gate="uat")
    world.declare(spaces=spaces)
    (found,) = report.criteria
    return found


@pytest.mark.feature("D11.2", "D11.5")
def test_only_what_the_file_of_staging_lists_may_differ_from_production(world: GateWorld) -> None:
    staging, east = world.workspace.spaces[STAGING], world.workspace.spaces[EAST]
    listed = set(staging.differs_from)
    assert {key.split(".")[0] for key in differences(staging, east)} == {key.split(".")[0] for key in listed}
    assert identical(world).holds
    assert identical(world, hardware=replace(staging.hardware, vcpu=1)).holds, "it is listed"
    for key in listed:
        assert not identical(world, differs_from=tuple(listed - {key})).holds, key
    open_ips = replace(staging.security, allowed_ips=None)
    for change in ({"security": open_ips}, {"compliance": ("SOC2",)}, {"rto_s": 1}, {"region": "us-west-2"}):
        found = identical(world, **change)
        assert not found.holds, change
        (check,) = found.checks
        assert (check.observed, check.limit) == ("1", "= 0")


def test_a_listed_key_lets_no_other_differ_that_begins_alike(world: GateWorld) -> None:
    staging = world.workspace.spaces[STAGING]
    begun = tuple(one[:-1] for one in staging.differs_from)
    assert not identical(world, differs_from=begun).holds
    named = (*staging.differs_from, "security.allowed_ips")
    assert identical(world, differs_from=named, security=replace(staging.security, allowed_ips=None)).holds
