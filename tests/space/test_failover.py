"""A partner stands in a permitted region, in the same tier, on the same documents; the EU's only in the EU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.corpus.settings import DataStage
from pilotage.space.failover import failover_target, partner_reason
from pilotage.space.settings import Availability, Space, Tier
from pilotage.testing.serving_path import space

EAST, WEST, EU = SpaceName("us-east"), SpaceName("us-west"), SpaceName("eu")


def made(name: SpaceName, region: str, partner: SpaceName | None = None, **changes: object) -> Space:
    availability = Availability(auto_failover=True, partner=partner)
    fields: dict[str, Any] = {
        "tier": Tier.PRODUCTION,
        "region": region,
        "regions": (region,),
        "availability": availability,
    }
    return space(name, **(fields | changes))


east, west, eu = made(EAST, "us-east-1", WEST), made(WEST, "us-west-2", EAST), made(EU, "eu-central-1")


@pytest.mark.feature("D13.70")
def test_east_and_west_stand_in_for_each_other() -> None:
    spaces = {EAST: east, WEST: west}
    assert failover_target(east, spaces) == WEST
    assert failover_target(west, spaces) == EAST


@pytest.mark.parametrize(
    ("one", "partner", "words"),
    [
        (eu, west, "EU residency"),
        (eu, made(WEST, "global"), "EU residency"),
        (eu, replace(west, compliance=("GDPR",)), "EU residency"),
        (eu, made(WEST, "eu-west-1", regions=("eu-west-1", "us-east-1")), "EU residency"),
        (replace(east, compliance=("GDPR",)), west, "EU residency"),
        (east, eu, "permitted regions"),
        (east, replace(west, region=None, regions=()), "permitted regions"),
        (east, made(WEST, "us-west-2", regions=("us-west-2", "ap-south-1")), "permitted regions"),
        (east, replace(west, tier=Tier.STAGING), "tier production"),
        (east, replace(west, data_stage=DataStage.PRODUCTION), "documents"),
        (east, east, "another space"),
    ],
)
def test_a_partner_that_may_not_take_the_askers_is_refused_with_what_to_write(
    one: Space, partner: Space, words: str
) -> None:
    reason = partner_reason(one, partner)
    assert reason is not None
    assert words in reason.text


def test_a_second_space_of_the_eu_may_stand_in_for_the_first() -> None:
    assert partner_reason(eu, made(SpaceName("eu-2"), "eu-west-1")) is None


@pytest.mark.feature("D13.70")
@pytest.mark.parametrize(
    "availability",
    [
        Availability(partner=WEST),
        Availability(auto_failover=True),
        Availability(auto_failover=True, partner=SpaceName("x")),
    ],
)
def test_without_a_declared_partner_nobody_leaves(availability: Availability) -> None:
    assert isinstance(failover_target(replace(east, availability=availability), {EAST: east, WEST: west}), Reason)


@pytest.mark.feature("D0.8")
@given(st.sampled_from(["us-east-1", "us-west-2", "ap-south-1", "eu-west-1", "europe-west1", "global", ""]))
def test_eu_never_leaves_whatever_partner_is_declared(region: str) -> None:
    partner = made(WEST, region, regions=(region,) if region else ())
    home = made(EU, "eu-central-1", WEST)
    target = failover_target(home, {EU: home, WEST: partner})
    assert isinstance(target, Reason) or region.startswith("eu")
