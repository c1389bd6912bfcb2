"""What people of a board do on its page, whichever test leads them there: they vote, dissent, and accept a risk."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page, expect

DISSENT: Final = "Branches have not rehearsed <b>the first week</b>."
_RISK: Final = """risk: branches-not-rehearsed
severity: medium
seats: [business-leadership]
rationale: >-
  Branch staff have had the training material for two weeks and the old paper policies stay in every branch,
  so a slow start costs time and no customer.
compensating_controls: [Floor walkers in the twelve largest branches during the first week]
residual: {{likelihood: 2, impact: 2}}
owner: nadia.brooks
requester: zoe.papadakis
spaces: [{spaces}]
expires: {until}
"""


def vote(page: Page, release: str, decision: str, comment: str = "Read it all.") -> None:
    """Fill the form in and send it."""
    page.check(f"input[name=decision][value={decision}]")
    page.fill("#comment", comment)
    page.fill("#confirmed", release[:8])
    page.click("#decide button.main")


def accept_the_risk(page: Page, release: str, *spaces: str, until: str = "2026-04-30") -> None:
    """Accept, for these spaces, the risk that the dissent is about."""
    expect(page.locator("#dissent")).to_contain_text("Not covered")
    page.click("summary:has-text('Accept a risk')")
    page.fill("#risk", _RISK.format(spaces=", ".join(spaces), until=until))
    page.fill("#confirmed-risk", release[:8])
    page.click("button.danger:has-text('Accept this risk')")
    expect(page.locator("#risks")).to_contain_text("branches-not-rehearsed")
