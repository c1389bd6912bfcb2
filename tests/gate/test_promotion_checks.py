"""Each thing that keeps a release out of a space, by its code, and all of them at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.gate.builders import AUTHOR, HOUR, NOW, RELEASE, SEALER, holder

from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Reason
from pilotage.corpus.settings import DataStage
from pilotage.gate.promotion import PromotionInput, Stay, previous_space, promotion_problems
from pilotage.identity.roles import Role
from pilotage.space.settings import Hardware, RecordMode, Scaling, Space, Tier

PROMOTER = holder(Role.DEVOPS_LEAD)


def space(name: str, tier: Tier, *, soak_s: int = 3600) -> Space:
    return Space(
        name=SpaceName(name),
        tier=tier,
        data_stage=DataStage.PRODUCTION,
        hardware=Hardware(vcpu=1, memory_bytes=1),
        scaling=Scaling(min_instances=1, max_instances=1),
        record_mode=RecordMode.FAIL_CLOSED,
        soak_s=soak_s,
    )


STAGING, EAST = space("staging", Tier.STAGING), space("east", Tier.PRODUCTION)
GOOD = PromotionInput(
    release=RELEASE,
    state="sealed",
    is_verified=True,
    authors=frozenset({AUTHOR}),
    voters=frozenset({PersonId("voter")}),
    sealer=SEALER,
    promoter=PROMOTER,
    is_person=True,
    floating=(),
    space=EAST,
    previous=STAGING,
    stays=(Stay(space=STAGING.name, healthy_since=NOW - 2 * HOUR, at=NOW - 2 * HOUR),),
    gates=(),
    approved_config=digest_of(b"settings"),
    live_config=digest_of(b"settings"),
)
FREEZE = Reason(code="FREEZE", text="The year ends.")
FAULTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"state": "revoked"}, "RELEASE_REVOKED"),
    ({"state": "quarantined"}, "RELEASE_QUARANTINED"),
    ({"state": "deprecated"}, "RELEASE_DEPRECATED"),
    ({"is_verified": False}, "VERIFY_BYTES"),
    ({"stays": ()}, "PROMOTION_ORDER"),
    ({"stays": (Stay(space=STAGING.name, healthy_since=NOW - HOUR / 2, at=NOW - HOUR),)}, "SOAK_SHORT"),
    ({"stays": (Stay(space=STAGING.name, healthy_since=None, at=NOW - 2 * HOUR),)}, "SOAK_SHORT"),
    ({"gates": (Reason(code="GATE_NOT_MET", text="cab is ready."),)}, "GATE_NOT_MET"),
    ({"freezes": (FREEZE,)}, "FREEZE"),
    ({"incidents": ("INC-1",)}, "INCIDENT_OPEN"),
    ({"unconfirmed": ("west",)}, "POST_UNCONFIRMED"),
    ({"residency": ("logs in eu-central-1",)}, "RESIDENCY"),
    ({"stage": "This release holds no production documents."}, "DATA_STAGE"),
    ({"live_config": digest_of(b"other settings")}, "SPACE_DRIFT"),
    ({"rollout": "R1"}, "ROLLOUT_ACTIVE"),
    ({"floating": ("model",)}, "MODEL_NOT_PINNED"),
    ({"promoter": AUTHOR}, "SOD_CONFLICT"),
    ({"promoter": PersonId("voter")}, "SOD_CONFLICT"),
    ({"accepters": frozenset({PROMOTER})}, "SOD_CONFLICT"),
)


def codes(given: PromotionInput) -> list[str]:
    return [reason.code for reason in promotion_problems(given, NOW)]


def test_a_release_with_everything_in_order_comes_in() -> None:
    assert codes(GOOD) == []


@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=[f"{code}-{number}" for number, (_, code) in enumerate(FAULTS)])
def test_one_fault_keeps_it_out_by_its_code(fault: dict[str, Any], code: str) -> None:
    assert codes(replace(GOOD, **fault)) == [code]


def test_all_reasons_come_at_once() -> None:
    given = replace(GOOD, stays=(), freezes=(FREEZE,), floating=("model",), rollout="R1", promoter=AUTHOR)
    assert codes(given) == ["PROMOTION_ORDER", "FREEZE", "ROLLOUT_ACTIVE", "MODEL_NOT_PINNED", "SOD_CONFLICT"]


SKIPPED = (
    {"freezes": (FREEZE,)},
    {"incidents": ("INC-1",)},
    {"stays": (Stay(space=STAGING.name, healthy_since=NOW, at=NOW),)},
)


@pytest.mark.parametrize("fault", SKIPPED, ids=["freeze", "the named incident", "soak"])
def test_an_emergency_skips_freeze_soak_and_the_incident_it_names(fault: dict[str, Any]) -> None:
    assert codes(replace(GOOD, **fault)) != []
    assert codes(replace(GOOD, **fault, emergency="INC-1")) == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        *((fault, code) for fault, code in FAULTS if code not in {"FREEZE", "INCIDENT_OPEN", "SOAK_SHORT"}),
        ({"incidents": ("INC-1", "INC-2")}, "INCIDENT_OPEN"),
        ({"stays": (Stay(space=STAGING.name, healthy_since=None, at=NOW),)}, "SOAK_SHORT"),
    ],
)
def test_an_emergency_skips_nothing_else(fault: dict[str, Any], code: str) -> None:
    assert codes(replace(GOOD, **fault, emergency="INC-1")) == [code]


def test_a_sandbox_asks_for_a_seal_that_holds_and_documents_of_its_stage_alone() -> None:
    sandbox = replace(GOOD, space=space("sandbox", Tier.SANDBOX), previous=None)
    busy = replace(sandbox, freezes=(FREEZE,), rollout="R1", floating=("model",), promoter=AUTHOR, incidents=("I",))
    assert codes(busy) == []
    assert codes(replace(busy, is_verified=False)) == ["VERIFY_BYTES"]
    assert codes(replace(busy, state="revoked", stage="No such documents.")) == ["RELEASE_REVOKED", "DATA_STAGE"]


def test_the_first_space_of_the_order_waits_for_no_other() -> None:
    assert codes(replace(GOOD, previous=None, stays=())) == []


@pytest.mark.feature("D11.4")
@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"space": space("qa", Tier.QA), "promoter": AUTHOR, "floating": ("model",)}, []),
        ({"space": STAGING, "promoter": AUTHOR}, ["SOD_CONFLICT"]),
        ({"space": STAGING, "promoter": PersonId("voter")}, []),
        ({"promoter": AUTHOR, "is_person": False}, []),
        ({"floating": ("model",), "accepted": frozenset({"MODEL_NOT_PINNED"})}, []),
        ({"floating": ("model",), "accepted": frozenset({"FREEZE"})}, ["MODEL_NOT_PINNED"]),
    ],
    ids=["before staging", "author", "voter", "a service", "accepted", "another thing accepted"],
)
def test_from_staging_on_models_are_pinned_and_others_than_the_makers_promote(
    changed: dict[str, Any], wanted: list[str]
) -> None:
    assert codes(replace(GOOD, **changed)) == wanted


EUROPE = replace(space("europe", Tier.PRODUCTION), regions=("eu-central-1",), region="eu-central-1")
US_EAST = replace(EAST, regions=("us-east-1",), region="us-east-1")
US_WEST = replace(space("west", Tier.PRODUCTION), regions=("us-west-2",), region="us-west-2")
NOWHERE = space("nowhere", Tier.PRODUCTION)
DEV, SANDBOX = space("dev", Tier.DEV), space("sandbox", Tier.SANDBOX)


@pytest.mark.feature("DL.2")
@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        ((SANDBOX, DEV), None),
        ((SANDBOX, DEV, STAGING), DEV),
        ((DEV, STAGING, US_EAST), STAGING),
        ((DEV, US_EAST), None),
        ((DEV, STAGING, US_EAST, US_WEST), US_EAST),
        ((DEV, STAGING, US_EAST, EUROPE), STAGING),
        ((DEV, STAGING, US_EAST, EUROPE, US_WEST), US_EAST),
        ((DEV, STAGING, EUROPE, NOWHERE), EUROPE),
        ((DEV, STAGING, NOWHERE, US_EAST), NOWHERE),
    ],
    ids=lambda value: " ".join(one.name for one in value) if isinstance(value, tuple) else "",
)
def test_a_space_follows_the_one_before_it_and_production_its_own_part_of_the_world(
    order: tuple[Space, ...], wanted: Space | None
) -> None:
    spaces = {one.name: one for one in order}
    assert previous_space([one.name for one in order], spaces, order[-1].name) == wanted
