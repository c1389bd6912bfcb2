"""What a page prints disabled is refused by the page's command and by the API, with the same reason (console.md 10.4).

And who may do what: every form with the roles its command is open to; everybody else is refused (10.3).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from selectolax.lexbor import LexborNode
from sqlalchemy import Engine, text
from tests.api.client import Client
from tests.api.test_api import api
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank, make_bank
from tests.console.test_every_page import AUDITORS_ONLY, FORMS, PAGES, address, filled, open_incident

from pilotage.api.app import Api
from pilotage.console.app import Console
from pilotage.console.site import ENTRIES
from pilotage.core.ids import PersonId
from pilotage.identity.roles import DERIVED_ROLES, PERMISSIONS, Action, Role
from pilotage.incident.records import UNRESOLVED, IncidentState
from pilotage.release.authorship import Author, How
from pilotage.release.manifest import read_manifest
from pilotage.rollout.states import State
from pilotage.store.releases import add_authors, named_release

__all__ = ["api", "filled"]
pytestmark = pytest.mark.store

LOOKERS = ("omar.haddad", "hanna.virtanen", "elena.marchetti", "nadia.brooks", "maria.chen")
"""Nobody in particular, on call, two who decide about steps, and the author of every part."""
STATES = [
    (state, outcome)
    for state in State
    for outcome in (("go", "inconclusive", None) if state is State.DECIDING else (None,))
]
AT_API = {"go": "signatures", "pause": "pause", "resume": "resumption", "abort": "abort"}


def told(nodes: list[LexborNode]) -> list[str]:
    """The reasons of a list as it is printed: text, then code."""
    return [" ".join(node.text(separator=" ").split()) for node in nodes]


def problems(answer: Answer) -> list[str]:
    return told(answer.page.css("#problems li") or answer.page.css("main .narrow > ul li"))


def codes(lines: list[str]) -> list[str]:
    return [line.rsplit(" ", 1)[-1] for line in lines]


def key_of(*names: object) -> str:
    """A form's key of its own."""
    return hashlib.sha256(repr(names).encode()).hexdigest()[:32]


def state_of(bank: Bank, rollout: str) -> tuple[object, ...]:
    with bank.instance.engine.connect() as connection:
        row = connection.execute(
            text("SELECT state, zeroed, decision, (SELECT count(*) FROM ledger_entry) FROM rollout WHERE id = :id"),
            {"id": rollout},
        ).one()
    return tuple(row)


def place(bank: Bank, rollout: str, state: State, outcome: str | None) -> None:
    """Put the rollout where it could stand."""
    values = {"id": rollout, "state": state.value, "outcome": outcome, "decision": outcome and "sha256:" + "1" * 64}
    before = State.OBSERVING.value if state is State.PAUSED else None
    with bank.instance.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE rollout SET state = :state, state_before = :before, decision = :decision,"
                " decision_outcome = :outcome WHERE id = :id"
            ),
            values | {"before": before},
        )


def _sample(most: int) -> list[tuple[State, str | None, str]]:
    every = [(state, outcome, name) for state, outcome in STATES for name in LOOKERS]
    return random.Random(4).sample(every, most) if most < len(every) else every


@pytest.mark.parametrize("most", [14, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_command_of_a_rollout_that_is_printed_disabled_is_refused_for_that_reason(
    bank: Bank, filled: dict[str, str], api: Api, most: int
) -> None:
    rollout = filled["rollout"]
    path, seen = f"/rollouts/{rollout}", 0
    people = {name: bank.browser(name) for name in LOOKERS}
    for state, outcome, name in _sample(most):
        place(bank, rollout, state, outcome)
        browser, caller = people[name], Client(api=api, key=bank.key(name).text)
        page = browser.get(path)
        fields = page.fields(path)
        for button in page.page.css('form button[name="command"][aria-disabled="true"]'):
            command = button.attributes["value"] or ""
            why = told(page.page.css(f"#why-{command} li"))
            assert why, (state, command)
            before, seen = state_of(bank, rollout), seen + 1
            answer = browser.post(path, fields | {"command": command, "key": key_of(command, state, outcome, name)})
            body = {"verdict": "sha256:" + "1" * 64} if command == "go" else {"note": ""}
            status, found = caller.post(f"/api/v1/rollouts/{rollout}/{AT_API[command]}", body)
            assert state_of(bank, rollout) == before, (state, command, name)
            if answer.status == 303:  # nothing is done a second time
                assert status == 200
                continue
            assert problems(answer) == why, (state, command, name)
            assert status == answer.status
            assert [one["code"] for one in found["error"]["reasons"]] == codes(why)
    assert seen > min(most, len(STATES) * len(LOOKERS))


_PLACED = text("""
UPDATE incident SET state = :state, commander = :commander, freezes = :freezes, freeze_lifted_at = NULL,
  resolved_at = CASE WHEN :ended THEN CAST(:at AS timestamptz) END,
  postmortem = CASE WHEN :written THEN jsonb_build_object('author', 'dina.kowalski', 'cause', 'A rule.', 'informed', '',
    'actions', '[]'::jsonb, 'approved_by', NULL) END
WHERE id = :id
""")
_ASKED: Final[Mapping[str, dict[str, Any]]] = {
    **{state.value: {"state": state.value} for state in IncidentState},
    "lift": {"lift_freeze": True},
    "approve": {"approve": True},
    "note": {"note": "Seen."},
    "severity": {"severity": "SEV2"},
    "commander": {"commander": "omar.haddad"},
}


@pytest.mark.parametrize("most", [6, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_command_of_an_incident_that_is_printed_disabled_is_refused_for_that_reason(
    bank: Bank, filled: dict[str, str], api: Api, most: int
) -> None:
    incident, seen = filled["incident"], set[str]()
    path, names = f"/incidents/{incident}", ("omar.haddad", "dina.kowalski", "hanna.virtanen")
    people = {name: (bank.browser(name), Client(api=api, key=bank.key(name).text)) for name in names}
    every = list(product(IncidentState, (None, "dina.kowalski"), (True, False), (1, 9), people))
    for state, commander, is_grave, days, name in random.Random(0).sample(every, min(most, len(every))):
        ended, at = state not in UNRESOLVED, bank.clock.now() - timedelta(days=days)
        values = {"state": state.value, "commander": commander, "freezes": is_grave, "written": is_grave}
        with bank.instance.engine.begin() as connection:
            connection.execute(_PLACED, {**values, "id": incident, "ended": ended, "at": at})
        browser, caller = people[name]
        page = browser.get(path)
        buttons = {one.attributes["value"] or "": one for one in page.page.css("#change button")}
        assert set(_ASKED) - set(buttons) == {state.value} | (set() if is_grave else {"lift", "approve"})
        for word, button in buttons.items():
            if button.attributes.get("aria-disabled") != "true":
                continue
            why = told(page.page.css(f"#why-{word} li"))
            assert why, (state, word)
            typed = {"do": word, "note": "Seen.", "severity": "SEV2", "commander": "omar.haddad"}
            before = incident_row(bank, incident)
            answer = browser.post(path, page.fields(path) | typed | {"key": key_of(word, *values.values(), name, days)})
            status, found = caller.post(f"/api/v1{path}/changes", _ASKED[word])
            assert incident_row(bank, incident) == before, (state, word, name)
            assert problems(answer) == why, (state, word, name)
            assert status == answer.status
            assert [one["code"] for one in found["error"]["reasons"]] == codes(why)
            seen |= {word, *codes(why)}
    every_one = {"lift", "approve", "closed", "open", "ILLEGAL_TRANSITION", "NOT_PERMITTED", "FREEZE", "TOO_LATE"}
    assert every_one <= seen, seen


def incident_row(bank: Bank, incident: str) -> tuple[object, ...]:
    with bank.instance.engine.connect() as connection:
        query = text("SELECT i::text, (SELECT count(*) FROM ledger_entry) FROM incident i WHERE i.id = :id")
        return tuple(connection.execute(query, {"id": incident}).one())


def test_a_version_that_may_not_be_decided_is_not_decided(bank: Bank, api: Api) -> None:
    source = min((bank.instance.root / "corpora" / "policies" / "documents").rglob("*.md"))
    source.write_text(source.read_text() + "\n\nOne sentence more.\n")
    number = bank.refresh("policies", by="grace.okafor").version
    path = f"/corpora/policies/versions/{number}"
    seen: set[tuple[str, str]] = set()
    for name in ("omar.haddad", "grace.okafor"):
        browser, caller = bank.browser(name), Client(api=api, key=bank.key(name).text)
        page = browser.get(path)
        for button in page.page.css('button[name="decision"][aria-disabled="true"]'):
            decision = button.attributes["value"] or ""
            why = told(page.page.css(f"#{button.attributes['aria-describedby']} li")) or told(
                page.page.css("#why-accept li")
            )
            answer = browser.post(
                path, page.fields(path) | {"decision": decision, "note": "No.", "key": key_of(decision, name)}
            )
            word = {"accept": "acceptance", "reject": "rejection"}[decision]
            status, found = caller.post(f"/api/v1{path}/{word}", {"note": "No."})
            assert (answer.status, status) == (403, 403), answer.words[:300]
            assert problems(answer) == why
            assert [one["code"] for one in found["error"]["reasons"]] == codes(why)
            seen.add((name, decision))
    assert seen == {("omar.haddad", "accept"), ("omar.haddad", "reject"), ("grace.okafor", "accept")}


def test_who_made_a_part_reads_why_no_vote_of_theirs_counts_and_is_refused_for_it(
    bank: Bank, filled: dict[str, str], api: Api
) -> None:
    name, gate = "felix.braun", f"/releases/{filled['digest']}/gates/code-review"
    with bank.instance.engine.begin() as connection:
        stored = named_release(connection, bank.release)
        part = next(iter(read_manifest(stored.manifest, digest=stored.digest).parts.values()))
        add_authors(connection, part, [Author(person=PersonId(name), how=How.SEALED, ref="", at=bank.clock.now())])
    browser, caller = bank.browser(name), Client(api=api, key=bank.key(name).text)
    page = browser.get(gate)
    button = page.page.css_first("#decide button.main")
    assert button is not None
    assert button.attributes["aria-disabled"] == "true"
    why = told(page.page.css("#decide fieldset .disabled-why li"))
    assert why
    typed = {"role": "senior-engineer", "decision": "reject", "comment": "I looked at all of it."}
    answer = browser.post(gate, page.fields(gate) | typed)
    bind = page.fields(gate)["bind.senior-engineer"]
    status, found = caller.post(f"/api/v1{gate}/votes", {**typed, "bind": bind})
    assert (answer.status, status) == (403, 403)
    assert problems(answer) == why
    assert [one["code"] for one in found["error"]["reasons"]] == codes(why)


def test_what_a_release_and_a_board_print_disabled_is_refused_there_and_by_the_api(
    bank: Bank, filled: dict[str, str], api: Api
) -> None:
    digest, board = filled["digest"], f"/cab/{filled['session']}"
    looked = {
        "why-promote": (f"/releases/{digest}", "/promotions", f"/api/v1/releases/{digest}/promotions"),
        "why-rollout": (f"/releases/{digest}", "/rollouts", "/api/v1/rollouts"),
        "why-prepare": (board, "/items", f"/api/v1/cab-sessions/{filled['session']}/items"),
        "why-close": (board, "/minutes", f"/api/v1/cab-sessions/{filled['session']}/minutes"),
        "why-call": ("/cab", "", "/api/v1/cab-sessions"),
    }
    sent: Mapping[str, dict[str, Any]] = {
        "why-promote": {"space": "sandbox"},
        "why-rollout": {"release": digest, "space": "production-us-east-space"},
        "why-prepare": {"release": digest},
        "why-close": {"note": ""},
        "why-call": {},
    }
    spaces = bank.instance.workspace.order
    browser, caller = bank.browser("tess.murray"), Client(api=api, key=bank.key("tess.murray").text)
    for name, (where, form, path) in looked.items():
        page = browser.get(where)
        why = told(page.page.css(f"#{name} li"))
        assert why, name
        body = sent[name] | ({"space": spaces[0]} if name == "why-promote" else {})
        answer = browser.post(where + form, page.fields(where + form) | body)
        status, found = caller.post(path, body)
        assert (answer.status, status) == (403, 403), (name, answer.status, status, found)
        assert codes(problems(answer)) == codes(why) == [one["code"] for one in found["error"]["reasons"]]


def _able(action: Action, within: str = "") -> frozenset[Role]:
    return frozenset(
        role
        for role, grants in PERMISSIONS.items()
        if any(one.action is action and (not within or not one.within or within in one.within) for one in grants)
    )


EVERYBODY = frozenset(Role) - DERIVED_ROLES
VOTERS = {
    "qa": {Role.QA_LEAD},
    "cab": {
        Role.IT_DIRECTOR,
        Role.BUSINESS_LEADERSHIP,
        Role.BUSINESS_SPONSOR,
        Role.SECURITY_DIRECTOR,
        Role.RISK_MANAGEMENT,
        Role.OPERATIONS_LEAD,
        Role.EXECUTIVE_SPONSOR,
    },
}
PLATFORM = {Role.DEVOPS_LEAD, Role.PLATFORM_ENGINEER}
RISK_TAKERS = {Role.BUSINESS_OWNER, Role.RISK_MANAGEMENT}
RISK = (
    "risk: R-1\nseverity: low\ncriteria: [unit]\nrationale: Nobody meets it in the first month.\n"
    "compensating_controls: [A person reads every answer]\nresidual: {likelihood: 2, impact: 2}\n"
    "owner: nadia.brooks\nspaces: [production-us-east-space]\nexpires: 2026-03-20\n"
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One action of one form: what is sent, and the roles it is open to."""

    path: str
    roles: frozenset[Role]
    sends: Mapping[str, str]


def line(path: str, roles: set[Role] | frozenset[Role], **sends: str) -> Line:
    return Line(path=path, roles=frozenset(roles), sends=sends)


BACK = {
    Role.ML_OPS_ENGINEER, *PLATFORM, Role.SECURITY_ENGINEER, Role.SECURITY_ARCHITECT, Role.OPERATIONS_MANAGER,
    Role.SUPPORT_ENGINEER, Role.ON_CALL, Role.OPERATIONS_LEAD,
}  # fmt: skip
HOLD = {
    Role.ML_OPS_ENGINEER, Role.SECURITY_ENGINEER, Role.SECURITY_ARCHITECT, Role.COMPLIANCE_OFFICER,
    Role.PRIVACY_OFFICER, Role.LEGAL, Role.DATA_GOVERNANCE_LEAD, Role.OPERATIONS_MANAGER, Role.SUPPORT_ENGINEER,
    Role.ON_CALL, Role.IT_DIRECTOR, Role.BUSINESS_LEADERSHIP, Role.BUSINESS_SPONSOR, Role.SECURITY_DIRECTOR,
    Role.RISK_MANAGEMENT, Role.OPERATIONS_LEAD, *PLATFORM,
}  # fmt: skip
CLAIMERS = {role for role, grants in PERMISSIONS.items() if any(one.action is Action.ATTACH_CLAIMED for one in grants)}
SEALERS = {
    Role.LEAD_ML_ENGINEER, Role.DATA_SCIENTIST, Role.ML_ENGINEER, Role.ML_OPS_ENGINEER, Role.TECH_LEAD,
    Role.SENIOR_ENGINEER,
}  # fmt: skip
ACCEPTANCE = {
    "verdict": "sha256:" + "1" * 64, "space": "production-us-east-space", "step": "canary", "bound": "errors < 1 %",
    "owner": "nadia.brooks", "severity": "low", "reason": "Few people.", "expires_at": "2026-03-20",
}  # fmt: skip
MATRIX = (
    line("/workflows/{workflow}/seal", SEALERS, expects="sha256:00"),
    line("/releases/{digest}/evidence", CLAIMERS, kind="document.architecture"),
    line("/releases/{digest}/promotions", PLATFORM, space="production-us-east-space"),
    line("/releases/{digest}/rollouts", PLATFORM, space="production-us-east-space"),
    line("/releases/{digest}/gates/{gate}", VOTERS["qa"], role="qa-lead", decision="reject", comment="I looked at it."),
    line("/releases/{digest}/gates/{gate}/risks", RISK_TAKERS),
    line(
        "/releases/{digest}/gates/{gate}/change-requests", VOTERS["qa"], role="qa-lead", change="The year is missing."
    ),
    line("/releases/{digest}/gates/{gate}/closures", EVERYBODY, request="none", reason="It is settled."),
    line("/cab", VOTERS["cab"] | PLATFORM),
    line("/cab/{session}/votes", VOTERS["cab"], role="it-director", decision="reject", comment="I looked at it."),
    line("/cab/{session}/risks", RISK_TAKERS),
    line("/cab/{session}/packs", EVERYBODY),
    line("/cab/{session}/items", VOTERS["cab"] | PLATFORM),
    line("/cab/{session}/questions", VOTERS["cab"], question="Why?"),
    line("/cab/{session}/questions/{question}", VOTERS["cab"] | CLAIMERS, answer="So."),
    line("/cab/{session}/minutes", VOTERS["cab"]),
    line("/rollouts/{rollout}", {Role.OPERATIONS_LEAD}, command="go"),
    line("/rollouts/{rollout}", HOLD, command="pause"),
    line("/rollouts/{rollout}", {*PLATFORM, Role.OPERATIONS_MANAGER, Role.OPERATIONS_LEAD}, command="resume"),
    line("/rollouts/{rollout}", BACK, command="abort"),
    line("/rollouts/{rollout}/extensions", {Role.OPERATIONS_LEAD}, by="1h", note="More people on Monday."),
    line("/rollouts/{rollout}/overrules", _able(Action.DECIDE_STEP) | _able(Action.ACCEPT_RISK), **ACCEPTANCE),
    line("/releases/{digest}/evaluations", CLAIMERS),
    line("/compare", CLAIMERS),
    line("/releases/{digest}/mitigations", _able(Action.MITIGATE), mitigation="none", reason="She is on leave in May."),
    line("/corpora/{name}/takedowns", _able(Action.TAKE_DOWN), document="none such", reason="Withdrawn."),
    line("/corpora/{name}/versions/{version}", set(), decision="accept"),
    line("/corpora/{name}/versions/{version}", set(), decision="reject", note="No."),
    line("/ledger", {Role.AUDITOR}),
    line("/incidents/{incident}", _able(Action.MANAGE_INCIDENT), do="note", note="Seen."),
    line("/incidents/{incident}", _able(Action.MANAGE_INCIDENT), do="severity", severity="SEV4", note="Less."),
    line("/incidents/{incident}", _able(Action.MANAGE_INCIDENT), do="commander", commander="hanna.virtanen"),
    line("/incidents/{incident}", _able(Action.MANAGE_INCIDENT), do="acknowledged"),
    line("/incidents/{incident}", _able(Action.MANAGE_INCIDENT), do="open"),
    line("/incidents/{incident}/post-mortem", _able(Action.MANAGE_INCIDENT), cause="A rule.", informed="Told."),
    line("/releases/{digest}/verification", EVERYBODY),
    line("/ask/{workflow}", EVERYBODY),
    line("/interactions/{interaction}/feedback", EVERYBODY),
    line("/inbox/snooze", EVERYBODY),
    line("/inbox/hand-over", EVERYBODY),
    line("/profile", EVERYBODY, zone="UTC"),
    line("/logout", EVERYBODY),
)
"""Every form for signed-in people. Owner and steward of a corpus decide about it, whatever else they are."""


def test_every_form_has_its_line_and_every_page_is_open_but_the_ledger() -> None:
    assert {one.path for one in MATRIX} == {entry.path for entry in FORMS if entry.needs is not None}
    assert {entry.path for entry in ENTRIES if entry.needs is None} == {
        "/login",
        "/login/return",
        "/theme",
        "/help",
    }
    closed = {entry.path for entry in ENTRIES if entry.needs not in {None, Action.READ, Action.ASK}}
    assert closed == AUDITORS_ONLY
    # what the table of roles says of the same actions, so that a role that is added there is added here
    assert _able(Action.PROMOTE, "production") - DERIVED_ROLES == PLATFORM
    assert _able(Action.VOTE, "cab") == VOTERS["cab"]
    assert _able(Action.VOTE, "qa") == VOTERS["qa"]
    assert _able(Action.ACCEPT_RISK, "low") == RISK_TAKERS
    assert (_able(Action.ROLL_BACK) | _able(Action.ROLLOUT_UP, "production")) - DERIVED_ROLES == BACK
    assert _able(Action.SEAL) - DERIVED_ROLES == SEALERS
    assert _able(Action.PAUSE) | _able(Action.ROLLOUT_UP, "production") == HOLD


_FEW = (None, Role.AUDITOR, Role.LEAD_ML_ENGINEER, Role.QA_LEAD, Role.ON_CALL, Role.WORKSPACE_ADMIN)


@pytest.mark.parametrize(
    "roles", [_FEW, pytest.param((None, *EVERYBODY), marks=pytest.mark.slow)], ids=["some roles", "every role"]
)
def test_whoever_the_table_does_not_name_is_refused(
    bank: Bank, filled: dict[str, str], roles: tuple[Role | None, ...]
) -> None:
    person = one_role(bank)
    place(bank, filled["rollout"], State.DECIDING, "go")
    for role in sorted(roles, key=str):
        token = person.become(role)
        for one in MATRIX:
            if role in one.roles or one.roles == EVERYBODY:
                continue
            answer = _sent(person.browser, one, filled, token, role)
            assert answer.status == 403, (one.path, one.sends, role, answer.status, answer.words[:300])
            assert "Nothing was recorded" in answer.words


@dataclass
class OneRole:
    """A browser of somebody who holds the one role that `become` gives, and no other."""

    bank: Bank
    browser: Browser
    declared: dict[Role, tuple[PersonId, ...]]

    def become(self, role: Role | None) -> str:
        """Hold this role alone; return the token of this session's forms."""
        none: dict[Role, tuple[PersonId, ...]] = dict.fromkeys(self.bank.instance.workspace.roster, ())
        self.declared.clear()
        self.declared.update({**none, **({} if role is None else {role: (PersonId("tess.murray"),)})})
        return self.browser.get("/help").fields("/logout")["token"]


def one_role(bank: Bank) -> OneRole:
    declared: dict[Role, tuple[PersonId, ...]] = dict.fromkeys(bank.instance.workspace.roster, ())
    instance = replace(bank.instance, workspace=replace(bank.instance.workspace, roster=declared))
    services = replace(bank.console._services, instance=instance, reading=instance)
    browser = Browser(application=Console(services))
    entered = browser.post("/login", {"local_key": bank.key("tess.murray").text, "next": "/workflows"})
    assert entered.status == 303
    return OneRole(bank=bank, browser=browser, declared=declared)


@pytest.mark.parametrize(
    "roles", [_FEW, pytest.param((None, *EVERYBODY), marks=pytest.mark.slow)], ids=["some roles", "every role"]
)
def test_every_page_opens_for_the_roles_that_the_table_says(
    bank: Bank, filled: dict[str, str], roles: tuple[Role | None, ...]
) -> None:
    person = one_role(bank)
    own = {"/interactions/{interaction}", "/interactions/{interaction}/proof", "/corpora/{name}/passages/{rev}/{chunk}"}
    for role in sorted(roles, key=str):
        person.become(role)
        for entry in PAGES:
            answer = person.browser.get(address(entry, filled))
            if entry.path in own:  # by the person and the document, not by the role: 10.3 of its own tests
                assert answer.status in {200, 404}, (entry.path, role)
            elif entry.path in AUDITORS_ONLY and role is not Role.AUDITOR:
                assert (answer.status, "auditor" in answer.words) == (403, True), (entry.path, role)
            else:
                assert answer.status in {200, 303} or entry.path.endswith("/changes"), (entry.path, role, answer.words)


@pytest.mark.parametrize("most", [1, pytest.param(99, marks=pytest.mark.slow)], ids=["one role", "every role"])
def test_whoever_the_table_names_is_not_refused_for_their_role(own_engine: Engine, tmp_path: Path, most: int) -> None:
    bank = make_bank(own_engine, tmp_path)
    person, interaction = one_role(bank), bank.answered("tess.murray", "What?", "So. [1]")
    rollout, board = bank.roll_out(), bank.call_board()
    names = board | {
        "digest": bank.release.removeprefix("sha256:")[:12], "workflow": "policy-assistant", "gate": "qa",
        "interaction": interaction, "name": "policies", "version": "1", "rollout": rollout, "test": "error_rate.go",
        "incident": open_incident(bank),
    }  # fmt: skip
    for one in MATRIX:
        for role in sorted(one.roles - DERIVED_ROLES)[:most]:
            place(bank, rollout, State.DECIDING if one.sends.get("command") != "resume" else State.PAUSED, "go")
            answer = _sent(person.browser, one, names, person.become(role), role)
            if one.path == "/logout":
                person = one_role(bank)
            assert not {"NOT_PERMITTED", "FORM_TOKEN"} & set(codes(problems(answer))), (one, role, answer.words[:300])


def with_file(browser: Browser, path: str, fields: Mapping[str, str]) -> Answer:
    """Send a form with a file, as a browser does."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
    head = 'Content-Disposition: form-data; name="file"; filename="a.md"\r\nContent-Type: text/markdown'
    body = "\r\n".join([*parts, f"--x\r\n{head}\r\n\r\n# Words", "--x--", ""])
    headers = {"content-type": "multipart/form-data; boundary=x", "origin": browser.origin or ""}
    return browser.send("POST", path, headers=headers, body=body.encode())


def _sent(browser: Browser, one: Line, filled: dict[str, str], token: str, role: Role | None) -> Answer:
    kept = {"release": filled["digest"], "confirmed": filled["digest"][:8], "item": "1", "risk": RISK}
    path = one.path.format(**filled)
    fields = {"token": token, "key": key_of(role, path, *one.sends.values()), **kept, **one.sends}
    return with_file(browser, path, fields) if path.endswith("/evidence") else browser.post(path, fields)
