# ruff: noqa: E501 - a message stands on one line, as people see it
"""`portfolio.yaml` tells every mistake by line, and a wrong row does not hide the others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.portfolio import Aspect, Needs, Purpose
from pilotage.workspace.portfolio_file import read_rows
from pilotage.workspace.workflow import Direction

Files = dict[str, bytes]
FILE = "portfolio.yaml"
HEAD = """\
use_cases:
  - name: letters
    unit: letters
    owner: ada
    volume: {value: 42000, source: log, date: 2026-05-01}
    minutes: unknown
    hourly_cost: {value: 48, source: estimate, date: 2026-05-01}
    error_rate: {value: 0.04, source: log, date: 2026-05-01}
    cost_per_error: {value: 35.50, source: estimate, date: 2026-05-01}
    share: {value: 0.5, source: estimate, date: 2026-05-01}
    kpis:
      - minutes
      - {name: quick, unit: share, direction: up, baseline: {value: 0.7, source: log, date: 2026-05-01}, target: 0.9}
      - {name: right, unit: share, direction: up, baseline: unknown, target: 0.9}
    data_owner: ben
    security_owner: cyd
    readiness:
      quality: {score: 0.75, by: ben, date: 2026-05-02, note: scans}
      access_policy: {score: 1, by: cyd, date: 2026-05-02}
    needs: {per_person_permissions: true, adapt_for: tone, reviewed_examples: 40}
"""
SECOND = HEAD.replace("use_cases:\n", "").replace("letters", "notes")
BANDS = """\
bands:
  - {name: discovery, min: 10, max: 30, released_by: first, signer: business-owner, phases: [development]}
  - {name: build, min: 10, max: 30, released_by: first, signer: business-owner}
"""


def test_a_row_says_what_is_known_by_whom_and_what_is_not(bank: Files) -> None:
    bank[FILE] = (HEAD + BANDS).encode()
    portfolio = parse_workspace(bank).operations.portfolio
    (case,) = portfolio.use_cases
    assert case.minutes is None
    assert case.cost_per_error is not None
    assert case.cost_per_error.value == Decimal("35.50")
    named, quick, right = case.kpis
    assert (named.unit, quick.direction, right.baseline) == (None, Direction.UP, None)
    assert quick.baseline is not None
    assert (quick.baseline.value, quick.target) == (Decimal("0.7"), Decimal("0.9"))
    assert (case.data_owner, case.security_owner) == ("ben", "cyd")
    assert set(case.readiness) == {Aspect.QUALITY, Aspect.ACCESS_POLICY}
    assert (case.readiness[Aspect.QUALITY].score, case.readiness[Aspect.QUALITY].by) == (Decimal("0.75"), "ben")
    assert case.needs == Needs(per_person_permissions=True, adapt_for=Purpose.TONE, reviewed_examples=40)
    assert [band.phases for band in portfolio.bands] == [("development",), ()]


CASES = [
    ("minutes: unknown", "minutes: 11", ["6: 'use_cases[0].minutes' is a whole number without a source and a date. Write {value: ..., source: measured, date: 2026-01-31}, or unknown."]),
    ("minutes: unknown", "minutes: {value: NaN, source: log, date: 2026-05-01}", ["6: 'use_cases[0].minutes.value': 'NaN' is not a number from 0 up. Write digits with an optional decimal point."]),
    ("value: 42000", "value: -1", ["5: 'use_cases[0].volume.value': '-1' is not a number from 0 up. Write digits with an optional decimal point."]),
    ("value: 42000, source: log", "value: 42000, source: guess", ["5: 'use_cases[0].volume.source' cannot be 'guess'. Write one of: estimate, log, measured."]),
    ("value: 0.04", "value: 4", ["8: 'error_rate' is 4. Write a share from 0 to 1."]),
    ("score: 0.75", "score: 0.7", ["18: 'score' is 0.7. Write 0, 0.25, 0.5, 0.75 or 1."]),
    ("quality: {", "quallity: {", ["18: 'quallity' is no part of data readiness. Did you mean 'quality'?"]),
    ("by: ben", "by: bob", ["18: 'bob' is not a person of pilotage.yaml. Write one of: ada, ben, cyd."]),
    ("adapt_for: tone", "adapt_for: speed", ["20: 'use_cases[0].needs.adapt_for' cannot be 'speed'. Write one of: classification, facts, form, nothing, tone."]),
    ("unit: share, direction: up, baseline: unknown, target: 0.9", "direction: up, target: 0.9", ["14: 'use_cases[0].kpis[2].unit' is missing. Write `unit: ...`."]),
    ("      - minutes\n", "      - 7\n", ["12: 'use_cases[0].kpis[0]' is a whole number, not text. Put it in quotes."]),
    ("owner: ada", "owner: group:claims", ["4: 'group:claims' is not a person of pilotage.yaml. Write one of: ada, ben, cyd."]),
    ("released_by: first, signer: business-owner}", "released_by: someday, signer: business-owner}", ["23: 'someday' is not a gate. Write one of: first, last."]),
    ("phases: [development]", "phases: [developement]", ["22: 'developement' is not a phase of costs.yaml. Did you mean 'development'?"]),
    ("name: build, min: 10, max: 30, released_by: first, signer: business-owner", "name: build, min: 10, max: 30, released_by: first, signer: business-owner, phases: development", ["23: The phase 'development' is paid from a second band; the first is in line 22. Name each phase in one band."]),
    ("    data_owner: ben", "    sensitivity: Restricted\n    data_owner: ben", ["15: 'use_cases[0].sensitivity' cannot be 'Restricted'. Did you mean 'restricted'?"]),
    ("    data_owner: ben", "    update_frequency: Weekly\n    data_owner: ben", ["15: 'use_cases[0].update_frequency': 'Weekly' is not how often. Write one of hourly, daily, weekly, monthly, quarterly, yearly, never, or a duration such as 14d or PT36H."]),
    ("name: build", "name: discovery", ["23: 'discovery' stands here a second time under bands. Give each a name of its own."]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_a_mistake_is_told_by_line_with_what_to_write(
    bank: Files, mistakes: Callable[[Files], list[str]], old: str, new: str, expected: list[str]
) -> None:
    assert old in HEAD + BANDS
    bank[FILE] = (HEAD + BANDS).replace(old, new, 1).encode()
    assert mistakes(bank) == [f"{FILE}:{line}" for line in expected]


@pytest.mark.parametrize(("workflow", "told"), [("desk", True), ("desc", False)])
def test_a_bare_kpi_that_its_workflow_does_not_have_is_told(
    bank: Files, mistakes: Callable[[Files], list[str]], workflow: str, *, told: bool
) -> None:
    text = HEAD.replace("- minutes\n", "- minuts\n      - minutes\n") + f"    workflow: {workflow}\n"
    bank[FILE] = text.encode()
    found = [one for one in mistakes(bank) if "KPI" in one]
    assert found == [f"{FILE}:12: 'minuts' is not a KPI of the workflow 'desk'. Did you mean 'minutes'?"] * told
    bank[FILE] = text.replace(
        text[text.index("    kpis:") : text.index("    data_owner")], "    kpis: minuts\n"
    ).encode()
    assert len([one for one in mistakes(bank) if "KPI" in one]) == told


def test_all_mistakes_are_told_at_once_and_the_right_rows_are_kept(bank: Files) -> None:
    workspace = parse_workspace(bank)
    text = HEAD + SECOND.replace("owner: ada", "owner: eve").replace("score: 1,", "score: 2,") + BANDS
    portfolio, problems = read_rows(text.encode(), workspace)
    assert [case.name for case in portfolio.use_cases] == ["letters"]
    assert len(portfolio.bands) == 2
    assert [(one.line, one.what) for one in problems] == [
        (23, "'eve' is not a person of pilotage.yaml"),
        (38, "'score' is 2"),
    ]


def test_a_second_row_of_the_same_name_is_left_out(bank: Files) -> None:
    text = HEAD + SECOND.replace("name: notes", "name: letters")
    portfolio, problems = read_rows(text.encode(), parse_workspace(bank))
    assert [one.line for one in problems] == [21]
    assert len(portfolio.use_cases) == 1


@pytest.mark.parametrize(("text", "line"), [("use_cases: {", 2), ("[]", 1), ("use_cases: 7\n", 1), ("{}\n", 1)])
def test_a_file_that_is_no_list_of_rows_gives_none_and_says_why(bank: Files, text: str, line: int) -> None:
    portfolio, problems = read_rows(text.encode(), parse_workspace(bank))
    assert (portfolio.use_cases, portfolio.bands) == ((), ())
    assert [one.line for one in problems] == [line]


def test_a_wrong_key_beside_the_rows_hides_none_of_them(bank: Files) -> None:
    portfolio, problems = read_rows((HEAD + BANDS + "band: []\n").encode(), parse_workspace(bank))
    assert len(portfolio.use_cases) == 1
    assert [str(one) for one in problems] == [f"{FILE}:24: The key 'band' is unknown. Did you mean 'bands'?"]
