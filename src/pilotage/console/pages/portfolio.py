"""Portfolio: what next? The ranking with its inputs, how ready the data is, the bands, and what to build on.

Fail mode: a row with a mistake is told by file and line and the others are ranked; without a file a template is shown.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.control.view_portfolio import view_portfolio

TEMPLATE: Final = """\
use_cases:
  - name: claims letters
    unit: letters
    owner: PERSON
    data_owner: PERSON
    security_owner: PERSON
    volume: {value: 42000, source: log, date: 2026-01-31}          # a year
    minutes: {value: 11, source: measured, date: 2026-01-31}       # each
    hourly_cost: {value: 48, source: log, date: 2026-01-31}
    error_rate: {value: 0.04, source: log, date: 2026-01-31}       # 0 to 1
    cost_per_error: {value: 35, source: estimate, date: 2026-01-31}
    share: {value: 0.5, source: estimate, date: 2026-01-31}        # what help can change, 0 to 1
    kpis:
      - name: letters in three days
        unit: share
        direction: up
        baseline: {value: 0.7, source: log, date: 2026-01-31}
        target: 0.9
    sensitivity: confidential                                      # public, internal, confidential, restricted
    update_frequency: monthly
    human_review: [every letter is read before it is sent]
    readiness:                                                     # 0, 0.25, 0.5, 0.75 or 1; a corpus is scored itself
      quality: {score: 0.75, by: PERSON, date: 2026-01-31}
      lineage: {score: 1, by: PERSON, date: 2026-01-31}
      retention: {score: 1, by: PERSON, date: 2026-01-31}
      access_policy: {score: 0.75, by: PERSON, date: 2026-01-31}
      freshness: {score: 0.5, by: PERSON, date: 2026-01-31}
      exclusions: {score: 0.5, by: PERSON, date: 2026-01-31}
      classification: {score: 1, by: PERSON, date: 2026-01-31}
    needs: {per_person_permissions: true, takedown_duty: true, citations_required: false, content_residency: true}
  - name: archive search
    unit: searches
    owner: PERSON
    volume: {value: 30000, source: estimate, date: 2026-01-31}
    minutes: unknown                                               # not ranked until somebody measured it
    hourly_cost: {value: 40, source: log, date: 2026-01-31}
    error_rate: {value: 0, source: estimate, date: 2026-01-31}
    cost_per_error: {value: 0, source: estimate, date: 2026-01-31}
    share: {value: 0.5, source: estimate, date: 2026-01-31}
"""


def show_portfolio(visit: Visit) -> Page:
    """Show the portfolio as the file is now."""
    view = view_portfolio(visit.reading)
    values = {"view": view, "template": TEMPLATE, "amount": _amount, "plain": _plain}
    return Page(template="portfolio.html", title="Portfolio", values=values)


def _amount(value: Decimal | None) -> str:
    """Write money; what nobody knows is a word."""
    return "unknown" if value is None else f"{value:,.2f}".removesuffix(".00")


def _plain(value: Decimal | None) -> str:
    """Write a number without zeros at its end."""
    return "unknown" if value is None else f"{value.normalize():,f}"
