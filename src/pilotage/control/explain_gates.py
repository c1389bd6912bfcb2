"""The gates a release had passed into a space when it gave an answer there, with the people who signed them.

Rule: only what the records of that moment say, never what the gates would be today. Fail mode: nothing recorded is
nothing told.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.decided_gates import decided_gates
from pilotage.control.gate_status import ordered_gates
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.store.gates_then import gates_then


def gates_of_answer(
    connection: Connection, instance: Instance, *, release: Digest, space: SpaceName, at: datetime
) -> list[dict[str, Json]]:
    """Return each gate passed into the space until then, in the order of the pipeline: `{gate, status, at, by, ...}`.

    `signed`: `{person, role, decision}`, each person's last word in a role; `risks`: acceptances in force then.
    """
    found = gates_then(connection, release, at)
    told = decided_gates(found.passed, instance.workspace.gates)
    return [
        {
            "gate": one.gate,
            "status": one.status.value,
            "at": to_text(one.at),
            "by": one.by,
            "signed": [
                {"person": vote["person"], "role": vote["role"], "decision": vote["decision"]}
                for vote in found.votes
                if vote["gate"] == one.gate
            ],
            "risks": [
                {
                    "risk": risk["risk"],
                    "severity": risk["severity"],
                    "owner": risk["owner"],
                    "people": [who["person"] for who in risk["approvers"]],
                }
                for risk in found.risks
                if risk["gate"] == one.gate
            ],
        }
        for name in ordered_gates(instance)
        for one in told.get(name, ())
        if one.space == space
    ]
