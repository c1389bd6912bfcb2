"""The demo's board: a question, a dissent under an accepted risk, the sponsor's signature, and minutes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import CAB, gate_world

from pilotage.app import Joined
from pilotage.cli.demo_board import Board
from pilotage.cli.demo_gates import ReleasePath
from pilotage.control.view_session import list_sessions, session_minutes
from pilotage.workspace.gate import Binding

pytestmark = pytest.mark.store


def test_the_board_of_the_demo_meets_and_leaves_minutes(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE board_session CASCADE"))
    world = gate_world(engine)
    world.declare(gates={**world.workspace.gates, "cab": replace(CAB, binds=(Binding.CAB_PACK,))})
    told: list[str] = []
    path = ReleasePath(
        runtime=Joined(),
        instance=world.instance,
        clock=world.inner.clock,
        release=world.release,
        say=lambda title, _text: told.append(title),
    )
    Board(path=path, drill=lambda _space: "measured").decide()
    assert "The board's session is closed" in told
    (session,) = list_sessions(world.instance).sessions
    minutes: Any = session_minutes(world.instance, session.id)
    (item,) = minutes["items"]
    assert item["result"] == "approved_with_risk_acceptance"
    assert [row["seat"] for row in item["dissent"]] == ["business-leadership"]
    assert item["dissent"][0]["accepted_by"] != "not covered"
    assert item["questions"][0]["answered_by"] == "peter.novak"
