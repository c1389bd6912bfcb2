"""The gates a release had passed into a space when it gave an answer there, with the people who signed them.

Rule: only what the records of that moment say, never what the gates would be today: what was not recorded when it was
let in is not told, and a gate that was renamed or taken out since is. Fail mode: nothing recorded is nothing told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pilotage.control.gate_status import ordered_gates
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.store.gates_then import GatesThen, gates_then
from pilotage.store.passed_gates import Passed


def gates_of_answer(
    connection: Connection, instance: Instance, *, release: Digest, space: SpaceName, at: datetime
) -> list[dict[str, Json]]:
    """Return each gate recorded when it was let into the space: `{gate, status, at, by, is_emergency, ...}`.

    Those of the pipeline first, in its order. `signed`: `{person, role, decision}`, each person's last word in a role
    before it was let in; `evidence`: `{id, kind}` that they signed on; `risks`: acceptances in force at `at`.
    """
    found = gates_then(connection, release, at)
    told = {
        report["gate"]: (event, report) for event in found.passed if event.space == space for report in event.reports
    }
    pipeline = ordered_gates(instance)
    names = [*(name for name in pipeline if name in told), *sorted(told.keys() - set(pipeline))]
    return [_told(found, *told[name]) for name in names]


def _told(found: GatesThen, event: Passed, report: Mapping[str, str]) -> dict[str, Json]:
    gate, votes = report["gate"], signers(found, report["gate"], event)
    evidence = sorted({name for vote in votes for name in vote["evidence"]})
    return {
        "gate": gate,
        "status": report["status"],
        "at": to_text(event.at),
        "by": event.by,
        "is_emergency": event.basis == "emergency",
        "input_digest": report.get("input_digest"),
        "signed": [{name: vote[name] for name in ("person", "role", "decision")} for vote in votes],
        "evidence": [{"id": name, "kind": found.kinds[name]} for name in evidence if name in found.kinds],
        "risks": [
            {
                "risk": risk["risk"],
                "severity": risk["severity"],
                "owner": risk["owner"],
                "people": [who["person"] for who in risk["approvers"]],
            }
            for risk in found.risks
            if risk["gate"] == gate
        ],
    }


def signers(found: GatesThen, gate: str, event: Passed) -> Sequence[Mapping[str, Any]]:
    """Return each person's last vote in a role that counted at the gate when `event` happened, oldest first."""
    attempt = max(
        (one["attempt"] for one in found.attempts if one["gate"] == gate and one["at"] <= event.at), default=1
    )
    last: dict[tuple[str, str], Mapping[str, Any]] = {}
    for vote in found.votes:
        is_its = vote["gate"] == gate and vote["attempt"] == attempt and vote["space"] in {None, event.space}
        if is_its and vote["at"] <= event.at:
            last[vote["person"], vote["role"]] = vote
    return sorted(last.values(), key=lambda vote: vote["at"])
