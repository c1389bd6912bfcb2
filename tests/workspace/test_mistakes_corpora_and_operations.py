# ruff: noqa: E501 - a message stands on one line, as people see it
"""Every mistake in corpora and operations files is reported as `file:line: what. what to write`, all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CASES: list[tuple[str, str, str, list[str]]] = [
    (
        "corpora/policies/corpus.yaml",
        "steward: ben",
        "steward: ada",
        [
            "corpora/policies/corpus.yaml:3: Owner and steward are the same person (ada). Name two people: the steward accepts what the owner is accountable for.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "owner: ada\n",
        "",
        [
            "corpora/policies/corpus.yaml:1: 'owner' is missing. Write `owner: ...`.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "classification: restricted\nregion: us-east-1\n",
        "",
        [
            "corpora/policies/corpus.yaml:1: 'classification' is missing. Write `classification: ...`.",
            "corpora/policies/corpus.yaml:1: 'region' is missing. Write `region: ...`.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "group:staff,",
        "staff,",
        [
            "corpora/policies/corpus.yaml:9: 'staff' is not an ACL name. Write group:NAME, user:PERSON or service:NAME; group:everyone is every person of the workspace.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "group:staff,",
        "group:stafff, user:eve,",
        [
            "corpora/policies/corpus.yaml:9: 'eve' is not a person of pilotage.yaml. Write one of: ada, ben, cyd.",
            "corpora/policies/corpus.yaml:9: 'stafff' is not a group. Did you mean 'staff'?",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "15 2 * * mon-fri",
        "every night",
        [
            "corpora/policies/corpus.yaml:6: 'cadence': 'every night' is no cadence. Write an interval such as 6h or five cron fields such as '15 2 * * mon-fri'.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "retention: 2557d",
        "retention: 7y",
        [
            "corpora/policies/corpus.yaml:7: 'retention': '7y' is not a duration. Write a duration such as 30s, 15m, 24h, 14d, or ISO 8601 P14D, PT4H.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        'titles: ["(?i)draft"]',
        'titles: ["(?<=x)y"]',
        [
            "corpora/policies/corpus.yaml:8: 'exclusions.titles[0]': '(?<=x)y' is not a linear-time pattern. Write RE2 syntax: no lookaround, no backreference.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        'globs: ["drafts/**"]',
        'globs: ["../drafts/**"]',
        [
            "corpora/policies/corpus.yaml:8: 'exclusions.globs[0]': '../drafts/**' leaves the folder. Write a path pattern inside it, such as hr/**.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        'globs: ["drafts/**"]',
        'globs: ["./drafts/**", "drafts/"]',
        [
            "corpora/policies/corpus.yaml:8: 'exclusions.globs[0]': './drafts/**' climbs out of the folder with '..' or '.'. Name the folder itself.",
            "corpora/policies/corpus.yaml:8: 'exclusions.globs[1]': 'drafts/' matches nothing, for no path has an empty part. Write hr/** for all that is in a folder.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "kind: jsonl, path: rows",
        "kind: jsnl, path: ../rows",
        [
            "corpora/policies/corpus.yaml:1: 'source.kind' cannot be 'jsnl'. Did you mean 'jsonl'?",
            "corpora/policies/corpus.yaml:1: The path '../rows' leaves the corpus folder. Write a folder inside it, or a full path.",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "title: heading",
        "titel: heading",
        [
            "corpora/policies/corpus.yaml:13: The key 'fields.titel' is unknown. Did you mean 'title'?",
        ],
    ),
    (
        "corpora/policies/corpus.yaml",
        "title: heading",
        'title: "{heading"',
        [
            "corpora/policies/corpus.yaml:13: '{heading' is not a template. Write row keys in braces, as in '{part}/{section}'.",
        ],
    ),
    (
        "corpora/policies-uat/corpus.yaml",
        "acl_max_age: 1h",
        "acl_max_age: 3651d",
        [
            "corpora/policies-uat/corpus.yaml:8: acl_max_age is longer than ten years. Write at most 3650d, or leave it out: then no ACL ages.",
        ],
    ),
    (
        "corpora/policies-uat/corpus.yaml",
        "source: folder",
        "source: foldr",
        [
            "corpora/policies-uat/corpus.yaml:1: 'source' cannot be 'foldr'. Did you mean 'folder'?",
        ],
    ),
    (
        "corpora/policies-uat/corpus.yaml",
        "derived_from: policies",
        "derived_from: policy",
        [
            "corpora/policies-uat/corpus.yaml:7: 'policy' is not a corpus. Did you mean 'policies'?",
        ],
    ),
    (
        "corpora/policies-uat/acl.yaml",
        '"**": group:staff',
        '"/etc/**": group:staff',
        [
            "corpora/policies-uat/acl.yaml:1: '/etc/**': '/etc/**' leaves the folder. Write a path pattern inside it, such as hr/**.",
        ],
    ),
    (
        "oncall.yaml",
        "people: [ada, ben]",
        "people: [ada, eve]",
        [
            "oncall.yaml:5: 'eve' is not a person of pilotage.yaml. Write one of: ada, ben, cyd.",
        ],
    ),
    (
        "oncall.yaml",
        'at: "09:00"}\n      - {people: [cyd',
        "at: 9:00}\n      - {people: [cyd",
        [
            "oncall.yaml:5: 'rotas.desk.layers[0].at' cannot be '9:00'. Write a local time in quotes, such as \"09:00\".",
        ],
    ),
    (
        "oncall.yaml",
        '      - {people: [cyd, ben], start: 2026-01-05, handoff: daily, at: "09:00"}\n',
        "",
        [
            "oncall.yaml:4: 1 layers cannot keep 2 people on duty. Add a layer, or write a smaller minimum.",
        ],
    ),
    (
        "oncall.yaml",
        "to: 2026-12-25T09:00",
        "to: 2026-12-23T09:00",
        [
            "oncall.yaml:7: The override ends before it starts. Write a later `to`.",
        ],
    ),
    (
        "oncall.yaml",
        "role:operations-manager",
        "role:operations-boss",
        [
            "oncall.yaml:8: 'operations-boss' is not a role. Did you mean 'operations-lead'?",
        ],
    ),
    (
        "oncall.yaml",
        "layer:1",
        "everyone",
        [
            "oncall.yaml:8: 'rotas.desk.escalation[0].to' cannot be 'everyone'. Write layer:1, person:ID or role:NAME.",
        ],
    ),
    (
        "costs.yaml",
        "id: infra, class: infrastructure",
        "id: people, class: hardware",
        [
            "costs.yaml:2: Two cost lines have the id 'people'. Give each an id of its own.",
            "costs.yaml:4: 'lines[1].class' cannot be 'hardware'. Write one of: infrastructure, people, tool, usage.",
        ],
    ),
    (
        "costs.yaml",
        "amount: 50000,",
        "amount: -1,",
        [
            "costs.yaml:3: 'lines[0].amount': '-1' is not a number from 0 up. Write digits with an optional decimal point.",
        ],
    ),
    (
        "portfolio.yaml",
        "share: {value: 0.5",
        "share: {value: 1.5",
        [
            "portfolio.yaml:10: 'share' is 1.5. Write a share from 0 to 1.",
        ],
    ),
    (
        "portfolio.yaml",
        "max: 30000",
        "max: 3000",
        [
            "portfolio.yaml:14: The band 'discovery' ends below its start. Write max: at least as much as min.",
        ],
    ),
    (
        "portfolio.yaml",
        "source: log, date: 2026-05-01}\n    minutes",
        "date: 2026-05-01}\n    minutes",
        [
            "portfolio.yaml:5: 'use_cases[0].volume.source' is missing. Write `source: ...`.",
        ],
    ),
    (
        "training.yaml",
        "person: ben",
        "person: bob",
        [
            "training.yaml:1: 'bob' is not a person of pilotage.yaml. Write one of: ada, ben, cyd.",
        ],
    ),
]


@pytest.mark.feature("R1.6")
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
