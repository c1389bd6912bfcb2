"""Whatever the command line can do can be done over HTTP, with the same refusals; only keeping the machine cannot."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import typer
from tests.api.client import Client
from tests.api.test_api import api, client
from tests.console.conftest import Bank, bank

from pilotage.api.app import Api
from pilotage.api.table import OPERATIONS
from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.control.evaluate_release import DRIVE
from pilotage.control.replay_decision import replay_decision
from pilotage.store.runs import RunState, find_run

__all__ = ["api", "bank"]

OF_THE_MACHINE = {"demo", "doctor", "init", "migrate", "serve", "up", "validate", "version", "worker"}
OF_THE_TERMINAL = {"login", "logout"}
OF_THE_GATEWAY = {"ask"}
DOCUMENT = {"document": "cards/card-limits.md", "reason": "It named a customer."}


def _typed(command: Any, *above: str) -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from _typed(inner, *above, name)
        else:
            yield " ".join((*above, name))


def test_every_command_but_those_of_the_machine_is_an_operation() -> None:
    typed = set(_typed(typer.main.get_command(make_app(Joined()))))
    assert typed - {one.command for one in OPERATIONS} == OF_THE_MACHINE | OF_THE_TERMINAL | OF_THE_GATEWAY


def refused(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


@pytest.mark.store
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/corpora/policies/takedowns", DOCUMENT),
        ("/corpora/policies/takedowns/hold", DOCUMENT),
        ("/corpora/policies/takedowns/hold/end", DOCUMENT),
        ("/corpora/policies/takedowns/confirmation", DOCUMENT),
        ("/corpora/policies/takedowns/lift", DOCUMENT),
        ("/incidents", {"workflow": "policy-assistant", "space": "sandbox", "summary": "Slow."}),
        (
            "/incidents",
            {
                "workflow": "policy-assistant",
                "space": "sandbox",
                "summary": "A leak.",
                "kind": "security-breach",
                "confirm": True,
            },
        ),
        ("/suites/permission", {"release": "{release}"}),
        ("/suites/fairness", {"release": "{release}"}),
        ("/suites/redteam", {"release": "{release}"}),
        ("/evaluations/none/resumption", None),
        (
            "/evaluations/none/mitigations",
            {"attribute": "a", "metric": "m", "action": "a", "owner": "o", "due": "2027-01-01"},
        ),
        ("/mitigations/none/change", {"reason": "Keiko is on leave until May.", "owner": "ada"}),
        ("/mitigations/none/closure", {"run": "none"}),
        ("/mitigations/none/closure", {"acceptance": "none"}),
        ("/releases/{release}/evidence/own", None),
        ("/workflows/policy-assistant/drills/rollback", {"space": "sandbox"}),
        ("/workflows/policy-assistant/drills/failover", {"space": "production-us-east-space"}),
        ("/ledger/key/rotation", {"reason": "Yearly."}),
        ("/ledger/key/loss", {"reason": "Lost."}),
        ("/ledger/epochs", {"reason": "Restored."}),
    ],
)
def test_without_the_role_it_is_refused(bank: Bank, api: Api, path: str, body: object) -> None:
    path = path.replace("{release}", bank.release)
    body = json.loads(json.dumps(body).replace("{release}", bank.release))
    answer = client(bank, api, "tess.murray").post(f"/api/v1{path}", body)
    assert refused(answer) == (403, "NOT_PERMITTED"), answer


@pytest.mark.store
def test_a_takedown_is_held_let_go_and_only_lifted_when_erased(bank: Bank, api: Api) -> None:
    steward, path = client(bank, api, "grace.okafor"), "/api/v1/corpora/policies/takedowns"
    document = DOCUMENT["document"]
    follow = {"document": document, "reason": "Asked by the court."}
    assert refused(steward.post(f"{path}/hold", follow)) == (404, "TAKEDOWN_UNKNOWN")
    status, body = steward.post(path, {**follow, "hold": True})
    assert (status, body["state"]) == (200, "held")
    assert refused(steward.post(f"{path}/lift", follow)) == (409, "TAKEDOWN_STATE")
    status, body = steward.post(f"{path}/hold/end", follow)
    assert (status, body["state"], body["document"]) == (200, "hidden", document)
    status, body = steward.post(f"{path}/hold", follow)
    assert (status, body["state"]) == (200, "held")
    assert refused(steward.post(f"{path}/confirmation", follow)) == (409, "TAKEDOWN_STATE")
    assert refused(steward.post(f"{path}/hold/end", {"document": document, "reason": " "})) == (422, "REASON_NEEDED")
    assert refused(client(bank, api, "lena.fischer").post(f"{path}/lift", follow)) == (403, "NOT_STEWARD")


@pytest.mark.store
def test_an_incident_is_opened_changed_and_closed(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "dina.kowalski")
    found = {"workflow": "policy-assistant", "space": "sandbox", "summary": "Answers are slow."}
    status, body = caller.post("/api/v1/incidents", found)
    assert (status, body["severity"], body["state"]) == (200, "SEV3", "open"), body
    path = f"/api/v1/incidents/{body['incident']}"
    status, body = caller.post(f"{path}/changes", {"state": "acknowledged", "note": "Looking."})
    assert (status, body["state"]) == (200, "acknowledged")
    assert refused(caller.post(f"{path}/changes", {"state": "open up"})) == (422, "FIELDS_INVALID")
    assert refused(caller.post(f"{path}/changes", {"post_mortem": {"cause": 1, "actions": [{"say": 1}]}})) == (
        422,
        "POST_MORTEM",
    )
    assert caller.post(f"{path}/changes", {"state": "mitigated"})[0] == 200
    assert caller.post(f"{path}/changes", {"state": "resolved"})[0] == 200
    status, body = caller.post(f"{path}/closure", {"note": "Over."})
    assert (status, body["state"]) == (200, "closed")
    declared = {**found, "kind": "security-breach"}
    assert refused(caller.post("/api/v1/incidents", declared)) == (422, "CONFIRM")


@pytest.mark.store
def test_a_cancelled_run_goes_on_by_the_worker(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "maria.chen")
    status, run = caller.post("/api/v1/evaluations", {"release": bank.release})
    assert (status, run["state"]) == (200, "queued")
    path = f"/api/v1/evaluations/{run['run']}"
    assert caller.post(f"{path}/cancellation")[1]["state"] == "cancelled"
    with bank.instance.engine.begin() as connection:  # what a worker does with the job of a cancelled run
        connection.exec_driver_sql("UPDATE run SET state = 'done' WHERE key = %s", (run["run"],))
    bank.clock.advance(timedelta(hours=1))
    status, body = caller.post(f"{path}/resumption")
    assert (status, body["state"]) == (200, "queued")
    with bank.instance.engine.connect() as connection:
        asked = find_run(connection, DRIVE, run["run"])
    assert asked is not None
    assert (asked.state, asked.due_at <= bank.clock.now()) == (RunState.DUE, True)
    assert caller.post(f"{path}/resumption")[1]["state"] == "queued"
    assert refused(caller.get(f"{path}/report")) == (404, "RUN_UNFINISHED")
    assert refused(caller.get("/api/v1/evaluations/none/report")) == (404, "RUN_UNKNOWN")
    with bank.instance.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE evaluation_run SET state = 'completed' WHERE id = %s", (run["run"],))
    assert refused(caller.post(f"{path}/resumption")) == (409, "RUN_OVER")


@pytest.mark.store
@pytest.mark.parametrize(
    ("suite", "kind"), [("permission", "permissions"), ("fairness", "fairness"), ("redteam", "redteam")]
)
def test_a_suite_is_started(bank: Bank, api: Api, suite: str, kind: str) -> None:
    status, body = client(bank, api, "maria.chen").post(f"/api/v1/suites/{suite}", {"release": bank.release})
    assert (status, body["suite"], body["state"]) == (200, kind, "queued"), body


@pytest.mark.store
def test_a_mitigation_is_closed_by_one_thing(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "mei.lin")
    given = {"attribute": "a", "metric": "m", "action": "a", "owner": "o", "due": "2027-01-01"}
    assert refused(caller.post("/api/v1/evaluations/none/mitigations", given)) == (404, "RUN_UNKNOWN")
    for body in ({}, {"run": "a", "acceptance": "b"}):
        assert refused(caller.post("/api/v1/mitigations/none/closure", body)) == (422, "MITIGATION_CLOSING")
    assert refused(caller.post("/api/v1/mitigations/none/closure", {"run": "a"})) == (404, "MITIGATION_UNKNOWN")
    assert caller.get("/api/v1/mitigations") == (200, {"mitigations": []})


@pytest.mark.store
def test_golden_sets_are_checked_and_compared(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "maria.chen")
    status, body = caller.get("/api/v1/workflows/policy-assistant/golden/lint")
    assert (status, sum(body["files"].values()) > 0) == (200, True)
    assert caller.get("/api/v1/workflows/nothing/golden/lint")[0] == 404
    status, body = caller.get(f"/api/v1/releases/{bank.release}/golden/diff/{bank.release}")
    assert (status, body["added"], body["weakenings"]) == (200, [], [])
    status, body = caller.get(f"/api/v1/releases/{bank.release}/golden/leaks")
    assert (status, body["release"], body["cases"] > 0) == (200, bank.release, True)


@pytest.mark.store
def test_own_reports_and_the_risk_register_of_a_release(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "maria.chen")
    status, body = caller.post(f"/api/v1/releases/{bank.release}/evidence/own")
    assert status == 200
    assert {one["kind"] for one in body["evidence"]} >= {"lineage", "classification"}
    status, body = caller.get(f"/api/v1/releases/{bank.release}/risks")
    assert (status, bool(body["risks"])) == (200, True)
    assert {"id", "score", "owner"} <= body["risks"][0].keys()


@pytest.mark.store
def test_a_decision_taken_along_replays_offline(bank: Bank, api: Api) -> None:
    path = f"/api/v1/releases/{bank.release}/gates/development/export"
    assert client(bank, api, "anita.rao").post("/api/v1/ledger/checkpoints")[0] == 200
    status, body = client(bank, api, "maria.chen").get(path)
    assert (status, body.get("gate"), body.get("digest")) == (200, "development", bank.release), body
    replayed = replay_decision(json.dumps(body["bundle"]).encode(), key=None)
    assert replayed.keyid == body["keyid"]


@pytest.mark.store
def test_an_overrule_says_what_it_takes_and_what_stands_against_it(bank: Bank, api: Api) -> None:
    caller, rollout = client(bank, api, "arthur.bell"), bank.roll_out()
    path = f"/api/v1/rollouts/{rollout}/overrules"
    texts = ("verdict", "release", "space", "step", "bound", "owner", "severity", "reason")
    given = {**dict.fromkeys(texts, "x"), "expires_at": "2026-12-01T00:00:00.000Z"}
    assert refused(caller.post(path, {**given, "step": None})) == (422, "FIELDS_INVALID")
    assert refused(caller.post(path, {**given, "expires_at": "soon"})) == (422, "ACCEPTANCE")
    assert refused(caller.post(path, given)) == (409, "ILLEGAL_TRANSITION")


@pytest.mark.store
def test_a_drill_where_nothing_serves_is_refused_as_on_the_command_line(bank: Bank, api: Api) -> None:
    caller, path = client(bank, api, "dina.kowalski"), "/api/v1/workflows/policy-assistant/drills"
    assert refused(caller.post(f"{path}/rollback", {"space": "nowhere"})) == (404, "DRILL_PLACE")
    status, _ = refused(caller.post(f"{path}/rollback", {"space": "production-us-east-space"}))
    assert status == 409


@pytest.mark.store
def test_the_ledgers_key_is_rotated_and_neither_lost_nor_restored_without_ground(bank: Bank, api: Api) -> None:
    caller, why = client(bank, api, "kwame.asante"), {"reason": "Yearly."}
    first = signers(client(bank, api, "anita.rao"))
    status, body = caller.post("/api/v1/ledger/key/rotation", why)
    assert (status, body["entries"] > 0) == (200, True), body
    assert signers(client(bank, api, "anita.rao")).isdisjoint(first)
    assert refused(caller.post("/api/v1/ledger/key/loss", why)) == (409, "LEDGER_NO_GROUND")
    assert refused(caller.post("/api/v1/ledger/epochs", why)) == (409, "LEDGER_NO_GROUND")
    assert refused(caller.post("/api/v1/ledger/key/rotation")) == (422, "FIELDS_INVALID")


def signers(auditor: Client) -> set[str]:
    """Return the ids of the keys under the newest checkpoint."""
    note: str = auditor.post("/api/v1/ledger/checkpoints")[1]["note"]
    return {b64decode(line.split(" ")[2])[:4].hex() for line in note.splitlines() if line.startswith("\u2014")}
