"""`pilotage incident show` as a person reads it: what it holds up, and how far its post-mortem is."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pilotage.cli.incident import render_incident

DUE = "2026-11-30T06:33:57.735Z"
WRITTEN = {"author": "ben", "approved_by": None, "cause": "A wrong index."}


def told(**changes: Any) -> list[str]:
    moments = ("started", "detected", "acknowledged", "mitigated", "resolved", "closed")
    found: dict[str, Any] = {
        "incident": "01M83",
        "severity": "SEV2",
        "state": "resolved",
        "cause": "statistical trip",
        "summary": "Errors of sha256:" + "8" * 64,
        "workflow": "assistant",
        "spaces": ["east"],
        "release": None,
        "rollout": None,
        "drill": False,
        "commander": None,
        "responders": [],
        **{f"{name}_at": None for name in moments},
        "post_mortem_due": None,
        "freezes": False,
        "timeline": [{"at": DUE, "actor": "system:worker", "text": "[opened]"}],
        "postmortem": None,
        "draft": None,
    }
    out = io.StringIO()
    render_incident(Console(file=out, width=120), found | changes)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "post-mortem not needed"),
        ({"post_mortem_due": DUE}, "post-mortem due 2026-11-30 06:33"),
        ({"post_mortem_due": DUE, "postmortem": WRITTEN}, "post-mortem written; somebody else has to approve it"),
        ({"postmortem": {**WRITTEN, "approved_by": "carl"}}, "post-mortem approved by carl"),
        ({"freezes": True}, "freezes rollouts, promotions and `corpus accept` wait for it"),
        ({}, "freezes nothing"),
        ({}, "Errors of sha256:888888888888"),
        ({}, "2026-11-30 06:33 system:worker: [opened]"),
        ({"postmortem": WRITTEN}, "cause: A wrong index."),
    ],
)
def test_an_incident_says_what_it_holds_up_and_what_is_still_to_be_written(changes: dict[str, Any], line: str) -> None:
    assert line in told(**changes)
