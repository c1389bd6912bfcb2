"""`pilotage rollout status` as a person reads it: what a rollout never reached is not done, nor measured."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pytest
from rich.console import Console

from pilotage.cli.rollout import render_rollout

NOT_YET: dict[str, Any] = {
    "seconds_to_zero_traffic": None,
    "seconds_to_zero_streams": None,
    "clock_uncertainty_s": None,
}


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({}, "not yet zero"),
        ({"seconds_to_zero_traffic": 0.79}, "zero traffic after 0.790 s"),
        (
            {"seconds_to_zero_traffic": 0.79, "seconds_to_zero_streams": 7.25, "clock_uncertainty_s": 0.75},
            "zero traffic after 0.790 s, zero streams after 7.250 s (clocks are off by up to 0.750 s)",
        ),
    ],
)
def test_a_rollback_tells_what_is_measured_by_now(measured: dict[str, float], words: str) -> None:
    assert f"  back on sha256:888888888888; {words}" in told([], {**NOT_YET, **measured})


def test_a_space_that_a_rollout_never_reached_is_not_called_done() -> None:
    step = {"step": "canary", "fraction_ppm": 50_000, "started_at": "", "ended_at": ""}
    waves = [
        {"space": "east", "state": "rolled_back", "fraction_ppm": 0, "admitted": 45, "steps": [step]},
        {"space": "west", "state": "done", "fraction_ppm": 0, "admitted": 0, "steps": []},
        {"space": "eu", "state": "done", "fraction_ppm": 12_500, "admitted": 1200, "steps": [step]},
    ]
    lines = told(waves, NOT_YET)
    assert "  east: rolled back, 0 % of traffic now, 45 admitted" in lines
    assert "  west: not reached, 0 % of traffic now, 0 admitted" in lines
    assert "  eu: done, 1.25 % of traffic now, 1,200 admitted" in lines


WAITS = {"space": "eu", "from": "10:00", "to": "11:00", "incident": "01I", "excused": False}


def test_an_excused_window_and_one_that_waits_are_told_apart() -> None:
    lines = told([], NOT_YET)
    assert "  eu: 10:00 to 11:00 counts for neither arm (incident 01I)" in lines
    assert "  eu: 10:00 to 11:00 waits for a second person to excuse it (incident 01I)" in lines


QUIET = {"log_e": None, "threshold": "15.5"}


@pytest.mark.parametrize(
    ("watched", "words"),
    [
        ({"requests": 0, "tests": {"trip.error_late": QUIET}}, "0 requests since completion, no failure yet"),
        (
            {
                "requests": 7100,
                "tests": {"a": {"log_e": "-1", "threshold": "9"}, "b": {"log_e": "2", "threshold": "9"}},
            },
            "7,100 requests since completion, nearest b, log E 2.00 of 9.00",
        ),
        ({"requests": None}, "watched by a newer version"),
        ({"ended_why": "left"}, "served no more, so watched no more"),
        ({"ended_why": "regression", "rollback": "01X"}, "taken back after completion, a late regression: 01X"),
    ],
)
def test_a_release_that_completed_tells_how_near_an_alarm_is(watched: dict[str, Any], words: str) -> None:
    lines = told([], NOT_YET, [{"space": "east", "ended_why": None, **watched}])
    assert [line for line in lines if line.startswith("  east: ") and line.endswith(words)]


def told(waves: list[dict[str, Any]], measured: dict[str, Any], watched: Iterable[dict[str, Any]] = ()) -> list[str]:
    digest = "sha256:" + "8" * 64
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
        "excused": [WAITS, {**WAITS, "excused": True}],
        "watched": list(watched),
        "rollback": {"to": digest, **measured},
    }
    out = io.StringIO()
    render_rollout(Console(file=out, width=200), one)
    return out.getvalue().splitlines()
