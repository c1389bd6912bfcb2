"""An alert goes through the channels that its space names, and never through none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world

from pilotage.control.send_messages import Notice, send
from pilotage.rollout.transitions import Notify
from pilotage.space.settings import Monitoring
from pilotage.testing.rollouts import EAST, EU, WEST, RolloutWorld
from pilotage.workspace.records import Channel, MessageKind

pytestmark = pytest.mark.store
BOTH = frozenset({MessageKind.PAGE, MessageKind.TICKET})
CHANNELS = {name: Channel(name=name, url_ref=f"env:{name.upper()}", kinds=BOTH) for name in ("pagerduty", "second")}


def made(engine: Engine) -> RolloutWorld:
    workspace, listed = bank(), Monitoring(destinations=("splunk", "second"))
    spaces = {
        **workspace.spaces,
        EU: replace(workspace.spaces[EU], monitoring=Monitoring()),
        WEST: replace(workspace.spaces[WEST], monitoring=listed),
    }
    return make_world(engine, replace(workspace, channels=CHANNELS, spaces=spaces))


@pytest.mark.feature("D11.40", "D13.78")
@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"space": EAST}, {"pagerduty"}),
        ({"space": WEST}, {"second"}),
        ({"spaces": [EAST, WEST]}, {"pagerduty", "second"}),
        ({"space": EU}, {"pagerduty", "second"}),
        ({"spaces": [EAST, EU]}, {"pagerduty", "second"}),
        ({"spaces": [WEST, "gone"]}, {"pagerduty", "second"}),
        ({"spaces": []}, {"pagerduty", "second"}),
        ({}, {"pagerduty", "second"}),
    ],
    ids=["alerting", "list form", "both spaces", "names none", "one names none", "one unknown", "empty", "no space"],
)
def test_a_page_goes_through_the_channels_that_its_space_names(
    engine: Engine, facts: dict[str, object], told: set[str]
) -> None:
    world = made(engine)
    with engine.begin() as connection:
        notice = Notice(title="t", text="x", facts=facts)  # type: ignore[arg-type]
        assert send(connection, world.instance, [Notify.PAGE], notice, at=world.clock.now()) == len(told)
        assert set(connection.scalars(text("SELECT target FROM outbox"))) == told


def test_without_a_channel_of_its_kind_the_log_has_it(engine: Engine) -> None:
    world = made(engine)
    with engine.begin() as connection:
        notice = Notice(title="t", text="x", facts={"space": EAST})
        send(connection, world.instance, [Notify.STAKEHOLDERS], notice, at=world.clock.now())
        assert list(connection.scalars(text("SELECT target FROM outbox"))) == ["log"]
