"""Checklists of regulations are read beside the gates that name them, and mistakes in them are told by line."""

from __future__ import annotations

from collections.abc import Callable

from pilotage.workspace.parse import parse_workspace

Files = dict[str, bytes]
Mistakes = Callable[[Files], list[str]]


SEC = b"""\
checklist: sec
title: Securities
source: https://www.ecfr.gov
as_of: 2026-10-01
items:
  - {id: records, text: Kept for three years, cite: 17 CFR 240.17a-4, evidence: document.runbook}
"""


def regulated(bank: Files, *names: str) -> None:
    text = bank["gates/gates.yaml"].decode()
    asked = f"checklist: [looked], regulations: [{', '.join(names)}]}}"
    bank["gates/gates.yaml"] = text.replace("checklist: [looked]}", asked, 1).encode()


def test_a_checklist_of_a_regulation_is_read_into_the_sign_off_that_names_it(bank: Files, mistakes: Mistakes) -> None:
    bank["regulations/sec.yaml"] = SEC
    regulated(bank, "sec", "sec")
    assert mistakes(bank) == []
    workspace = parse_workspace(bank)
    (signoff,) = workspace.gates["first"].pre.signoffs
    assert signoff.questions == {"looked": (), "sec.records": ("document.runbook",)}
    assert (signoff.regulations[0].as_of, signoff.regulations[0].items[0].cite) == ("2026-10-01", "17 CFR 240.17a-4")
    assert not [one for one in workspace.warnings if one.file == "regulations/sec.yaml"]


def test_a_checklist_without_source_or_date_and_an_item_used_twice_are_mistakes(
    bank: Files, mistakes: Mistakes
) -> None:
    item = "  - {id: records, text: Again, cite: Rule 1}\n"
    text = SEC.decode().replace("source: https://www.ecfr.gov\n", "").replace("2026-10-01", "soon") + item
    bank["regulations/sec.yaml"] = text.encode()
    bank["regulations/finra.yaml"] = SEC
    bank["regulations/empty.yaml"] = b"{"
    assert [one.partition(". ")[0] for one in mistakes(bank) if "empty" not in one] == [
        "regulations/finra.yaml:1: checklist is 'sec' and the file is called finra.yaml",
        "regulations/sec.yaml:1: 'source' is missing",
        "regulations/sec.yaml:3: 'as_of': 'soon' is not a date",
        "regulations/sec.yaml:4: Two items have the id 'records'",
    ]


def test_a_checklist_nobody_wrote_or_with_evidence_the_gate_does_not_ask_for_is_a_mistake(
    bank: Files, mistakes: Mistakes
) -> None:
    bank["regulations/sec.yaml"] = SEC.replace(b"document.runbook", b"[sbom, permissions, fact.oncall]")
    regulated(bank, "sec", "sek")
    assert [one.partition(". ")[0] for one in mistakes(bank)] == [
        "gates/gates.yaml:9: The item 'sec.records' rests on 'fact.oncall', which the gate does not ask for",
        "gates/gates.yaml:9: The item 'sec.records' rests on 'sbom', which the gate does not ask for",
        "gates/gates.yaml:9: There is no checklist 'sek'",
    ]
