"""`pilotage rollout status` as a person reads it: what a rollout never reached is not done."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from pilotage.cli.rollout import render_rollout


def test_a_space_that_a_rollout_never_reached_is_not_called_done() -> None:
    digest = "sha256:" + "8" * 64
    step = {"step": "canary", "fraction_ppm": 50_000, "started_at": "", "ended_at": ""}
    waves = [
        {"space": "east", "state": "rolled_back", "fraction_ppm": 0, "admitted": 45, "steps": [step]},
        {"space": "west", "state": "done", "fraction_ppm": 0, "admitted": 0, "steps": []},
        {"space": "eu", "state": "done", "fraction_ppm": 12_500, "admitted": 1200, "steps": [step]},
    ]
    one: dict[str, Any] = {
        "rollout": "01M83",
        "workflow": "policy-assistant",
        "release": digest,
        "state": "rolled_back",
        "space": "east",
        "step": "canary",
        "weight": "5%",
        "why": [],
        "verdict": {"outcome": "no_go", "digest": digest, "reasons": []},
        "shadow": [],
        "waves": waves,
        "rollback": {"to": digest, "seconds_to_zero_traffic": "0.790"},
    }
    out = io.StringIO()
    render_rollout(Console(file=out, width=200), one)
    lines = out.getvalue().splitlines()
    assert "  east: rolled back, 0 % of traffic now, 45 admitted" in lines
    assert "  west: not reached, 0 % of traffic now, 0 admitted" in lines
    assert "  eu: done, 1.25 % of traffic now, 1,200 admitted" in lines
    assert f"  back on {digest[:19]}; zero traffic after 0.790 s" in lines
