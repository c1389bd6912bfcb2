"""Sticky assignment: the vectors of rollouts.md 3.2, and what a fraction may never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.rollout.assignment import Arm, Cohort, Split, assign, bucket

SALT = "5f1c0e9ab2d34476"
PEOPLE = [f"local|p{index:06d}" for index in range(100_000)]


@pytest.mark.feature("D13.5")
@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("local|maria.chen", 492163),
        ("local|omar.haddad", 699127),
        ("https://idp.example.com/|00u1a2b3c4", 436071),
        ("key|crm-backend", 106422),
        ("local|zoë", 758464),
        ("local|zoe\u0308", 758464),
    ],
)
def test_the_bucket_of_a_principal_is_the_specified_one(principal: str, expected: int) -> None:
    assert bucket(SALT, principal) == expected


def test_another_salt_draws_anew() -> None:
    assert bucket("0" * 16, "local|maria.chen") == 379965


def test_the_shares_of_many_principals_are_the_specified_ones() -> None:
    buckets = [bucket(SALT, person) for person in PEOPLE]
    others = [bucket("0" * 16, person) for person in PEOPLE]
    assert sum(found < 50_000 for found in buckets) == 4_956
    assert sum(found < 250_000 for found in buckets) == 25_261
    assert sum(one < 50_000 and two < 50_000 for one, two in zip(buckets, others, strict=True)) == 232


@pytest.mark.feature("D13.5")
@given(st.sampled_from(PEOPLE), st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_a_higher_fraction_removes_nobody(person: str, low: int, high: int) -> None:
    low, high = sorted((low, high))
    arms = [
        assign(Split(salt=SALT, fraction_ppm=ppm, cohort=Cohort(everybody=True)), principal=person, groups=frozenset())
        for ppm in (low, high)
    ]
    assert arms != [Arm.CANDIDATE, Arm.STABLE]


@pytest.mark.feature("D13.6", "D13.39")
def test_pins_come_first_then_the_cohort_then_the_hash() -> None:
    everyone = Split(salt=SALT, fraction_ppm=1_000_000, cohort=Cohort(everybody=True), pins={"local|a": Arm.STABLE})
    pilots = Split(salt=SALT, fraction_ppm=1_000_000, cohort=Cohort(groups=frozenset({"pilot"})))
    none = frozenset[str]()
    assert assign(everyone, principal="local|a", groups=none) is Arm.STABLE
    assert assign(everyone, principal="local|b", groups=none) is Arm.CANDIDATE
    assert assign(pilots, principal="local|b", groups=none) is Arm.STABLE
    assert assign(pilots, principal="local|b", groups=frozenset({"pilot"})) is Arm.CANDIDATE
    assert assign(Split(fraction_ppm=1_000_000), principal="local|b", groups=none) is Arm.STABLE
    assert assign(Split(pins={"local|a": Arm.CANDIDATE}), principal="local|a", groups=none) is Arm.CANDIDATE


def test_nobody_without_an_id_is_assigned() -> None:
    with pytest.raises(ValueError, match="empty"):
        bucket(SALT, "")
    with pytest.raises(ValueError, match="empty"):
        assign(Split(), principal="", groups=frozenset())
