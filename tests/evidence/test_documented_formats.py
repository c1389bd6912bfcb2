"""Every example of the reference page is evidence of the kind that stands beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "report-evidence.md"
EXAMPLES = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_has_an_example_of_each_own_format() -> None:
    assert {kind for kind, _ in EXAMPLES} == {"failover", "pentest", "uat", "training", "load.expected", "coverage"}


@pytest.mark.parametrize(("kind", "text"), EXAMPLES, ids=[kind for kind, _ in EXAMPLES])
def test_an_example_reads_as_its_kind(kind: str, text: str) -> None:
    context = ReadContext(expected_requests=2, required_people=frozenset({"maria.chen"}))
    result = read_evidence(text.encode(), kind=kind, name="example", context=context)
    assert isinstance(result, Reading), result
    assert result.claims
