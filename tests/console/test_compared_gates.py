"""A criterion of a gate that looks at a comparison leads to it, and no other does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from pilotage.console.pages.gate import compared
from pilotage.control.preview_vote import GateView


def test_a_criterion_over_a_run_with_a_baseline_leads_to_its_comparison() -> None:
    before, after = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    evidence = [
        SimpleNamespace(id="e1", kind="evaluation", refs={"baseline": before}),
        SimpleNamespace(id="e2", kind="evaluation", refs={"verdict": "go"}),
        SimpleNamespace(id="e3", kind="fairness", refs={"baseline": before}),
    ]
    criteria = [
        SimpleNamespace(id=name, checks=[SimpleNamespace(evidence=looks)])
        for name, looks in (("accuracy", ("e2", "e1")), ("first", ("e2",)), ("fair", ("e3",)), ("none", ()))
    ]
    view = SimpleNamespace(
        release=SimpleNamespace(digest=after), report=SimpleNamespace(criteria=criteria), evidence=evidence
    )
    assert compared(cast("GateView", view)) == {"accuracy": f"/compare?a={'a' * 12}&b={'b' * 12}"}
