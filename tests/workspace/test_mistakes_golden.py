# ruff: noqa: E501 - a message stands on one line, as people see it
"""Every mistake in golden cases, evaluation settings and documents is reported as `file:line: what. what to write`, all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CASES: list[tuple[str, str, str, list[str]]] = [
    (
        "workflows/desk/evaluation.yaml",
        "groups: [staff], roles",
        "groups: [stuff], roles",
        [
            "workflows/desk/evaluation.yaml:1: 'stuff' is not a group. Did you mean 'staff'?",
        ],
    ),
    (
        "workflows/desk/evaluation.yaml",
        "[{name: lena",
        "[{name: lena}, {name: lena",
        [
            "workflows/desk/evaluation.yaml:1: Two personas are called 'lena'. Give each a name of its own.",
        ],
    ),
    (
        "workflows/desk/evaluation.yaml",
        "schedule: 0 6 * * mon",
        "schedule: 1m",
        [
            "workflows/desk/evaluation.yaml:8: '1m' runs more than once an hour. Write an interval of 1h or more.",
        ],
    ),
    (
        "workflows/desk/evaluation.yaml",
        "schedule: 0 6 * * mon",
        "schedule: sometimes",
        [
            "workflows/desk/evaluation.yaml:8: 'schedule': 'sometimes' is no cadence. Write an interval such as 6h or five cron fields such as '15 2 * * mon-fri'.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"as":"ada"',
        '"as":"eve"',
        [
            "workflows/desk/golden/main.jsonl:3: 'eve' is not a persona of evaluation.yaml or a person. Write one of: ada, ben, cyd, lena.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"id":"b"',
        '"id":"a"',
        [
            "workflows/desk/golden/main.jsonl:3: The case id 'a' is taken (first at workflows/desk/golden/main.jsonl:1). Give each case of a workflow an id of its own.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"id":"b"',
        '"id":"b b"',
        [
            "workflows/desk/golden/main.jsonl:3: 'id' cannot be 'b b'. Write letters, digits, dots, hyphens and underscores, at most 120.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"expect":{"refuse":["not_permitted"]}',
        '"expct":{}',
        [
            "workflows/desk/golden/main.jsonl:3: The key 'expct' is unknown. Did you mean 'expect'?",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '{"refuse":["not_permitted"]}',
        '{"refuse":true,"facts":["x"]}',
        [
            "workflows/desk/golden/main.jsonl:3: A refusal is expected together with facts. Remove the facts, or refuse.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '{"id":"d","question":"Open?"}',
        '{"id":"d","question":"Open?","must_pass":true}',
        [
            "workflows/desk/golden/main.jsonl:5: The case 'd' must pass and expects nothing that code can check. Add facts, citations, refuse or forbid.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '{"id":"d","question":"Open?"}',
        '{"id":"d" "question"}',
        [
            "workflows/desk/golden/main.jsonl:5: The row cannot be read: Not JSON at byte 10: Expecting ',' delimiter. Write one JSON object per line.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '{"id":"d","question":"Open?"}',
        '{"id":"d","id":"e","question":"x"}',
        [
            "workflows/desk/golden/main.jsonl:5: The row cannot be read: Key 'id' stands twice in one object. Write one JSON object per line.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '{"id":"d","question":"Open?"}',
        "[1]",
        [
            "workflows/desk/golden/main.jsonl:5: This is a list, not a mapping. Write keys and values below it.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"number":43000000',
        '"number":43000000,"any":["x"]',
        [
            "workflows/desk/golden/main.jsonl:1: A fact has two forms: any and number. Write text, any, all, at_least with of, number, date or pattern.",
            "workflows/desk/golden/main.jsonl:1: The key 'expect.facts[3].rel' is unknown. Known keys: all, any, at_least, date, number, pattern, text.",
            "workflows/desk/golden/main.jsonl:1: The key 'expect.facts[3].unit' is unknown. Known keys: all, any, at_least, date, number, pattern, text.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"at_least":1',
        '"at_least":3',
        [
            "workflows/desk/golden/main.jsonl:1: at_least 3 of 2 forms. Write a smaller number.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        "fi[vf]e",
        "(?=x)",
        [
            "workflows/desk/golden/main.jsonl:1: '(?=x)' is not a linear-time pattern. Write RE2 syntax: no lookaround, no backreference.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"weight":2',
        '"weight":0',
        [
            "workflows/desk/golden/main.jsonl:1: The weight is 0. Write a number above 0.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '{"text":"t","allow_negated":true}',
        '{"weight":1}',
        [
            "workflows/desk/golden/main.jsonl:1: A fact has no form. Write text, any, all, at_least with of, number, date or pattern.",
            "workflows/desk/golden/main.jsonl:1: The key 'expect.facts[7].weight' is unknown. Known keys: all, any, at_least, date, number, pattern, text.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"2026-01-01","granularity":"month"',
        '"2026-02-30","granularity":"week"',
        [
            "workflows/desk/golden/main.jsonl:1: 'expect.facts[4].date': '2026-02-30' is not a date. Write YYYY-MM-DD, a day that exists.",
            "workflows/desk/golden/main.jsonl:1: 'expect.facts[4].granularity' cannot be 'week'. Write one of: day, month, quarter, year.",
        ],
    ),
    (
        "workflows/desk/golden/main.jsonl",
        '"a.md":3',
        '"a.md":4',
        [
            "workflows/desk/golden/main.jsonl:4: 'expect.retrieve.a.md' is 4. Write a whole number from 1 to 3.",
        ],
    ),
    (
        "workflows/desk/golden/main.meta.yaml",
        "defaults: {as: lena, ",
        "defaults: {",
        [
            "workflows/desk/golden/main.jsonl:1: The case 'a' has no asker. Write `as`: a persona; nothing runs anonymously.",
            "workflows/desk/golden/main.jsonl:4: The case 'c' has no asker. Write `as`: a persona; nothing runs anonymously.",
            "workflows/desk/golden/main.jsonl:5: The case 'd' has no asker. Write `as`: a persona; nothing runs anonymously.",
        ],
    ),
    (
        "workflows/desk/golden/main.meta.yaml",
        "steward: cyd",
        "steward: nobody",
        [
            "workflows/desk/golden/main.meta.yaml:3: 'nobody' is not a person of pilotage.yaml. Write one of: ada, ben, cyd.",
        ],
    ),
    (
        "workflows/desk/documents/runbook.md",
        'version: "1.0"',
        "version: 1.10",
        [
            "workflows/desk/documents/runbook.md:3: 'version' is a number, so 1.10 and 1.1 would be the same. Put it in quotes: version: \"1.1\".",
        ],
    ),
    (
        "workflows/desk/documents/runbook.md",
        "owner: ben\n",
        "",
        [
            "workflows/desk/documents/runbook.md:2: 'owner' is missing. Write `owner: ...`.",
        ],
    ),
    (
        "workflows/desk/documents/runbook.md",
        "2027-01-01",
        "soon",
        [
            "workflows/desk/documents/runbook.md:4: 'valid_until': 'soon' is not a date. Write YYYY-MM-DD, a day that exists.",
        ],
    ),
]


@pytest.mark.parametrize(("path", "old", "new", "expected"), CASES)
def test_a_mistake_is_named_with_its_line_and_its_remedy(
    bank: dict[str, bytes],
    mistakes: Callable[[dict[str, bytes]], list[str]],
    path: str,
    old: str,
    new: str,
    expected: list[str],
) -> None:
    text = bank[path].decode()
    assert old in text
    bank[path] = text.replace(old, new, 1).encode()
    assert mistakes(bank) == expected
