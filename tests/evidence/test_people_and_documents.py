"""Reviews, acceptance, training, drills, penetration tests and documents: what people attach, and its loopholes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

PEOPLE = {"ann": "local|ann", "ann@bank.example": "local|ann", "bob": "local|bob", "cy": "local|cy"}
CONTEXT = ReadContext(people=PEOPLE)


def read(data: object, kind: str, context: ReadContext = CONTEXT) -> Reading:
    raw = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    result = read_evidence(raw, kind=kind, name="file", context=context)
    assert isinstance(result, Reading), result
    return result


def code(data: object, kind: str, context: ReadContext = CONTEXT) -> str:
    raw = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    result = read_evidence(raw, kind=kind, name="file", context=context)
    assert isinstance(result, ReadRefusal), result
    return result.reason.code


def review(login: str, state: str, *, at: int, commit: str = "head", kind: str = "User") -> dict[str, Any]:
    return {
        "user": {"login": login, "type": kind},
        "state": state,
        "commit_id": commit,
        "submitted_at": f"2026-11-{at:02}T10:00:00Z",
    }


def pull(*reviews: dict[str, Any], message: str = "Change", email: str = "ann@bank.example") -> dict[str, Any]:
    commit = {
        "sha": "head",
        "commit": {"tree": {"sha": "tree1"}, "author": {"email": email}, "message": message},
        "author": {"login": "Ann"},
    }
    return {
        "pull": {"head": {"sha": "head"}, "user": {"login": "ann"}, "commits": 1},
        "reviews": list(reviews),
        "commits": [commit],
    }


def test_an_approval_of_the_head_commit_by_a_known_person_counts() -> None:
    reading = read(pull(review("Bob", "APPROVED", at=2), review("cy", "COMMENTED", at=3)), "review.code")
    assert reading.claims == {"approvals_on_head": 1, "changes_requested": 0, "unmapped": 0}
    assert reading.names["approvers"] == ("local|bob",)
    assert reading.refs == {"head_sha": "head", "head_tree": "tree1", "read_by": "GitHub review@1"}


@pytest.mark.parametrize(
    "reviews",
    [
        [review("bob", "APPROVED", at=2, commit="older")],
        [review("ann", "APPROVED", at=2)],
        [review("bob", "APPROVED", at=2), review("bob", "DISMISSED", at=3)],
        [review("bob", "APPROVED", at=2), review("bob", "CHANGES_REQUESTED", at=3)],
        [review("stranger", "APPROVED", at=2)],
    ],
)
def test_an_approval_that_is_old_dismissed_own_or_unknown_does_not_count(reviews: list[dict[str, Any]]) -> None:
    assert read(pull(*reviews), "review.code").claims["approvals_on_head"] == 0


def test_a_comment_after_an_approval_leaves_it_standing() -> None:
    reviews = [review("bob", "APPROVED", at=2), review("bob", "COMMENTED", at=4)]
    assert read(pull(*reviews), "review.code").claims["approvals_on_head"] == 1


def test_a_co_author_cannot_approve_and_an_unknown_e_mail_is_reported() -> None:
    approved = review("ann", "APPROVED", at=2)
    message = "Change\n\nCo-authored-by: Ann <ann@bank.example>\nCo-authored-by: X <x@elsewhere.example>"
    document = pull(approved, message=message)
    document["pull"]["user"] = document["commits"][0]["author"] = {"login": "bob"}
    document["commits"][0]["commit"]["author"]["email"] = ""
    reading = read(document, "review.code")
    assert reading.claims["approvals_on_head"] == 0
    assert reading.names["authors"] == ("local|ann", "local|bob")
    assert reading.names["unmapped"] == ("x@elsewhere.example",)


@pytest.mark.parametrize(
    "reviews", [[], [review("helper[bot]", "APPROVED", at=2)], [review("ci", "APPROVED", at=2, kind="Bot")]]
)
def test_a_review_by_nobody_is_empty(reviews: list[dict[str, Any]]) -> None:
    assert code(pull(*reviews), "review.code") == "EV_EMPTY"


def test_lists_that_may_be_cut_short_are_inconsistent() -> None:
    many = pull(*[review("bob", "APPROVED", at=2)] * 30)
    assert code(many, "review.code") == "EV_INCONSISTENT"
    assert read({**many, "next_page": None}, "review.code").claims["approvals_on_head"] == 1
    assert code({**many, "next_page": 2}, "review.code") == "EV_PARTIAL"
    short = pull(review("bob", "APPROVED", at=2))
    short["pull"]["commits"] = 2
    assert code(short, "review.code") == "EV_INCONSISTENT"
    headless = pull(review("bob", "APPROVED", at=2))
    headless["pull"]["head"]["sha"] = "other"
    assert code(headless, "review.code") == "EV_INCONSISTENT"


def scenario(name: str, tester: str, result: str, **more: str) -> dict[str, str]:
    return {"scenario": name, "tester": tester, "result": result, "at": "2026-11-20T10:00Z", "digest": "d1", **more}


@pytest.mark.feature("D11.1")
def test_acceptance_rows_give_testers_rates_and_open_criticals() -> None:
    rows = [
        scenario("a", "ann", "passed"),
        scenario("b", "bob", "failed", severity="minor"),
        scenario("c", "bob", "failed"),
        scenario("d", "cy", "blocked"),
    ]
    claims = read({"scenarios": rows}, "uat").claims
    expected = {"scenarios": 4, "passed": 1, "failed": 2, "blocked": 1, "open_critical": 1, "testers": 3}
    assert claims == {**expected, "pass_rate": 0.25}
    text = "scenario,tester,result,at,digest,severity\n" + "".join(
        ",".join([*(row[key] for key in ("scenario", "tester", "result", "at", "digest")), row.get("severity", "")])
        + "\n"
        for row in rows
    )
    assert read(text, "uat").claims == claims
    yaml = "scenarios:\n" + "".join(f"  - {json.dumps(row)}\n" for row in rows)
    assert read(yaml, "uat").claims == claims


@pytest.mark.feature("D11.1")
def test_an_authors_pass_is_dropped_and_his_failure_stands() -> None:
    rows = [scenario("a", "ann", "passed"), scenario("b", "ann", "failed"), scenario("a", "bob", "passed")]
    reading = read({"scenarios": rows}, "uat", ReadContext(people=PEOPLE, authors=frozenset({"local|ann"})))
    assert reading.claims["scenarios"] == 2
    assert reading.claims["testers"] == 1
    assert reading.claims["pass_rate"] == 0.5
    only = {"scenarios": rows[:1]}
    assert code(only, "uat", ReadContext(people=PEOPLE, authors=frozenset({"local|ann"}))) == "EV_EMPTY"


def test_a_tester_nobody_knows_is_not_counted() -> None:
    reading = read({"scenarios": [scenario("a", "ghost", "passed"), scenario("a", "bob", "passed")]}, "uat")
    assert reading.claims["testers"] == 1
    assert reading.names["unmapped"] == ("ghost",)


def test_the_last_result_of_a_scenario_counts_and_the_worse_of_two_at_once() -> None:
    later = scenario("a", "bob", "passed", at="2026-11-21T10:00Z")
    assert read({"scenarios": [later, scenario("a", "bob", "failed")]}, "uat").claims["pass_rate"] == 1
    rows = [scenario("a", "bob", "failed"), scenario("a", "bob", "passed")]
    assert read({"scenarios": rows}, "uat").claims["pass_rate"] == 0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "EV_EMPTY"),
        ([scenario("a", "", "passed")], "EV_MALFORMED"),
        ([scenario("a", "bob", "fine")], "EV_MALFORMED"),
        ([scenario("a", "bob", "passed", at="soon")], "EV_MALFORMED"),
        ([1], "EV_MALFORMED"),
        ([scenario("a", "bob", "passed"), scenario("b", "bob", "passed", digest="d2")], "EV_INCONSISTENT"),
    ],
)
def test_acceptance_rows_that_do_not_hold_are_refused(rows: list[object], expected: str) -> None:
    assert code({"scenarios": rows}, "uat") == expected


@pytest.mark.feature("D11.27", "D11.45")
def test_training_is_the_share_of_the_required_people() -> None:
    required = frozenset({"local|ann", "local|bob"})
    now = datetime(2026, 11, 25, tzinfo=UTC)
    context = ReadContext(people=PEOPLE, required_people=required, received_at=now)
    csv = "person,course,completed_at\nann,ops,2026-10-01\nbob,ops,2026-12-24\ncy,ops,2026-10-01\n"
    reading = read(csv, "training", context)
    assert reading.claims == {"required": 2, "completed": 1, "share": 0.5}
    assert reading.names["missing"] == ("local|bob",)
    assert "share" not in read(csv, "training").claims
    assert code("training: []\n", "training") == "EV_EMPTY"
    assert code("training:\n  - {course: ops}\n", "training") == "EV_MALFORMED"


@pytest.mark.feature("D11.45", "R4.7")
def test_a_training_counts_for_a_year() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    context = ReadContext(people=PEOPLE, required_people=frozenset({"local|ann", "local|bob"}), received_at=now)
    csv = "person,course,completed_at\nann,ops,2025-11-25\nbob,ops,2025-11-24\nbob,ops,2026-03-01\ncy,ops,2025-12-01\n"
    reading = read(csv, "training", context)
    assert reading.claims["share"] == 1
    assert reading.names["trained_until"] == ("local|ann 2026-11-25", "local|bob 2027-03-01", "local|cy 2026-12-01")
    ended = read(csv.replace("bob,ops,2026-03-01\n", ""), "training", context)
    assert (ended.claims["share"], ended.names["missing"]) == (0.5, ("local|bob",))


def test_the_worst_run_of_a_drill_counts() -> None:
    drill = "drill: failover\nruns:\n  - {at: 2026-11-01T10:00Z, rto_s: 30, lost_requests: 0}\n"
    drill += "  - {at: 2026-11-02T10:00Z, rto_s: 90, rpo_s: 1, lost_requests: 2}\n"
    reading = read(drill, "failover")
    assert reading.claims == {"runs": 2, "rto_s": 90, "lost_requests": 2}
    assert reading.produced_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert code(drill, "recovery") == "EV_KIND_MISMATCH"
    assert code("drill: recovery\nruns: []\n", "recovery") == "EV_EMPTY"
    assert code("drill: recovery\nruns: [{rpo_s: -1}]\n", "recovery") == "EV_MALFORMED"
    assert code("drill: recovery\nruns: [\n", "recovery") == "EV_MALFORMED"


@pytest.mark.feature("D10.24")
def test_a_penetration_test_counts_what_is_open_and_unrated_as_critical() -> None:
    findings = [
        {"id": "F1", "severity": "high", "host": "a.example"},
        {"id": "F2", "severity": "high", "status": "fixed", "retested_at": "2026-11-20"},
        {"id": "F3", "severity": "high", "status": "fixed"},
        {"id": "F4"},
        {"id": "F5", "score": 9.8, "severity": "low"},
    ]
    test = {"independent": True, "scope_hosts": ["A.example", "a.example"], "findings": findings}
    assert read({"pentest": test}, "pentest").claims == {
        "critical": 2,
        "high": 2,
        "independent": 1,
        "scope_hosts": 1,
    }
    assert "independent" not in read({"pentest": {**test, "independent": "yes"}}, "pentest").claims
    assert code({"pentest": {**test, "scope_hosts": []}}, "pentest") == "EV_EMPTY"
    assert code({"pentest": {**test, "findings": [1]}}, "pentest") == "EV_MALFORMED"


def test_a_penetration_test_in_sarif_says_who_and_where_in_its_properties() -> None:
    result = {"ruleId": "X", "level": "error", "message": {"text": "m"}}
    run = {
        "tool": {"driver": {"name": "t"}},
        "results": [result],
        "properties": {"independent": True, "scope_hosts": ["a"]},
    }
    log = {"version": "2.1.0", "runs": [run]}
    assert read(log, "pentest").claims == {"critical": 0, "high": 1, "independent": 1, "scope_hosts": 1}
    assert read({**log, "runs": [{**run, "properties": {}}]}, "pentest").claims == {"critical": 0, "high": 1}
    hidden = {**result, "suppressions": [{"kind": "external"}]}
    assert read({**log, "runs": [{**run, "results": [hidden]}]}, "pentest").claims["high"] == 1


WORDS = "Every answer cites the passage it stands on. " * 20
HEAD = '---\nowner: ann\nversion: "1.0"\nvalid_until: 2027-01-31\n---\n'
BODY = f"# Runbook\n\n## 1. Scope\n{WORDS}\n\n## Escalation path\n{WORDS}"
NEEDS = ReadContext(
    required_sections=("Scope", "Escalation"), received_at=datetime(2026, 11, 25, tzinfo=UTC), people=PEOPLE
)


def test_a_whole_document_is_complete() -> None:
    reading = read(HEAD + BODY, "document.runbook", NEEDS)
    assert reading.claims["complete"] == 1
    assert reading.claims["valid_days"] == 67
    assert reading.refs["owner"] == "ann"


@pytest.mark.feature("D1.12", "D5.16")
@pytest.mark.parametrize(
    "text",
    [
        BODY,
        HEAD.replace("owner: ann", "owner:") + BODY,
        HEAD.replace("2027-01-31", "2026-11-24") + BODY,
        HEAD.replace("2027-01-31", "soon") + BODY,
        HEAD + BODY.replace("## Escalation path", "Escalation path"),
        HEAD + BODY.replace("## Escalation path", "```\n## Escalation path\n```"),
        HEAD + BODY + "\nTBD",
        HEAD + BODY + "\nAsk <name of the owner>.",
        HEAD + BODY + "\nLorem ipsum dolor",
        HEAD + "## Scope\n## Escalation\nShort.",
    ],
)
def test_a_document_that_lacks_something_is_not_complete(text: str) -> None:
    assert read(text, "document.runbook", NEEDS).claims["complete"] == 0


@pytest.mark.feature("D11.21", "D12.37")
@pytest.mark.parametrize(
    ("command", "block", "complete"),
    [
        ("rollback", "```pilotage\nrollback desk --space east\n```", 1),
        ("rollback", "pilotage rollback desk --space east", 1),
        ("rollback", "```pilotage\nrollbacks desk\n```", 0),
        ("rollback", "```\nrollback desk\n```", 0),
        ("rollback", "Call rollback by hand.", 0),
        ("", "```pilotage\nledger verify\n```", 1),
        ("", "```pilotage\n\n```", 0),
    ],
)
def test_a_procedure_holds_the_commands_that_carry_it_out(command: str, block: str, complete: int) -> None:
    needs = replace(NEEDS, required_command=command)
    reading = read(f"{HEAD}{BODY}\n\n{block}\n", "document.runbook", needs)
    assert reading.claims["complete"] == complete
    assert len(reading.names["missing_sections"]) == 1 - complete
    assert read(HEAD + BODY, "document.runbook", NEEDS).claims["complete"] == 1, "nothing is asked for"


@pytest.mark.parametrize("text", ["a<br>b", "see <https://a.example>", "<!-- TODO later -->", "<!-- open TODO"])
def test_tags_links_and_comments_are_no_placeholders(text: str) -> None:
    assert read(f"{HEAD}{BODY}\n{text}", "document.runbook", NEEDS).claims["placeholders"] == 0


def subprocessors(listed: str) -> str:
    return HEAD.removesuffix("---\n") + f"subprocessors: {listed}\n---\n{BODY}"


def test_a_document_of_subprocessors_lists_them_in_its_front_matter_and_no_other_document_does() -> None:
    text = subprocessors("[{name: M, host: models.example, regions: [eu-west-1]}]")
    assert read(text, "document.subprocessors", NEEDS).names["subprocessors"] == ("models.example eu-west-1",)
    assert read(HEAD + BODY, "document.subprocessors", NEEDS).names["subprocessors"] == ()
    assert "subprocessors" not in read(text, "document.runbook", NEEDS).names


@pytest.mark.parametrize(
    "listed", ["models.example", "[models.example]", "[{name: M, host: models.example, regions: []}]"]
)
def test_a_list_of_subprocessors_that_cannot_be_read_is_malformed_and_never_an_empty_one(listed: str) -> None:
    assert code(subprocessors(listed), "document.subprocessors", NEEDS) == "EV_MALFORMED"


def test_front_matter_that_never_ends_is_malformed() -> None:
    assert code("---\nowner: ann\n" + BODY, "document.runbook") == "EV_MALFORMED"


def test_a_pdf_is_read_through_the_port_and_refused_without_it() -> None:
    pdf = b"%PDF-1.7 ..."
    text = f"Owner: ann\nVersion: 1.0\nValid until: 2027-01-31\n1. Scope\n{WORDS}\nEscalation\n{WORDS}"

    def read_pdf(text_of: str) -> Reading | ReadRefusal:
        return read_evidence(pdf, kind="document.runbook", name="f", context=NEEDS, text_of=lambda *_: text_of)

    whole = read_pdf(text)
    assert isinstance(whole, Reading)
    assert whole.claims["complete"] == 1
    scanned = read_pdf(" ")
    assert isinstance(scanned, ReadRefusal)
    assert scanned.reason.code == "EV_EMPTY"
    unread = read_evidence(pdf, kind="document.runbook", name="f", context=NEEDS)
    assert isinstance(unread, ReadRefusal)
    assert unread.reason.code == "EV_MALFORMED"


@pytest.mark.parametrize(
    ("file", "missing"),
    [
        ("full.json", ()),
        ("cats_vs_dogs_v0_0_1.json", ()),
        ("considerations.json", ("metrics",)),
        ("train_data.json", ("use_cases", "limitations", "metrics")),
    ],
)
def test_model_card_samples_name_what_is_empty(shared_data: Path, file: str, missing: tuple[str, ...]) -> None:
    data = (shared_data / "evidence/model-cards" / file).read_text()
    reading = read(data, "document.model-card")
    assert reading.names["missing_sections"] == missing
    assert reading.claims["complete"] == (not missing)


def test_an_unknown_model_card_schema_is_unsupported() -> None:
    assert code({"schema_version": "9", "model_details": {}}, "document.model-card") == "EV_UNSUPPORTED"
