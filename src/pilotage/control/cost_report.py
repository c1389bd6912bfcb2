"""`pilotage report cost`: plan beside what was spent, where a month ends, what a question costs (operations.md 7).

Rule: figures are read, never typed in; who made a report when, and its digest, is a ledger entry, so that a copy can be
checked. Fail mode: NotFound for a workflow that is not declared, a UsageError for a month that has not begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.errors import NotFound, PilotageError, UsageError
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.monitoring.outcomes import SLOW_US
from pilotage.portfolio.cost import HISTORY_DAYS, last_day, token_share
from pilotage.portfolio.cost_report import CostFacts, cost_report, last_whole_day
from pilotage.release.model import Prices, Provider
from pilotage.release.residency import embedding_host
from pilotage.space.settings import Tier
from pilotage.store.deployments import first_deployed
from pilotage.store.releases import load_release
from pilotage.store.spend import spent, spent_on_runs, spent_on_shadows, tokens_used
from pilotage.workspace.workflow import Workflow

KEPT: Final = timedelta(days=400)
"""How far back requests are read for what was spent before going live: as long as their metadata is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """A report as it was made; its facts hold every number as decimal text."""

    digest: Digest
    facts: Mapping[str, Json]

    def as_json(self) -> dict[str, Json]:
        """Return the result for CLI and API."""
        return {"digest": self.digest, **self.facts}


def make_cost_report(
    instance: Instance, *, actor: Principal, workflow: str, month: str | None = None
) -> CostReport | Refusal:
    """Return a workflow's costs of a month (`YYYY-MM`, the present one when not said), and record that they were."""
    refusal = may(actor.roles, Action.READ)
    if refusal is not None:
        return refusal
    now = instance.clock.now()
    declared = _declared(instance, workflow)
    if not actor.roles and actor.person != declared.owner:
        text = f"Reading what {declared.name} costs takes a role in the workspace, and you hold none."
        return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text),))
    first = _first_day(month, now)
    with instance.engine.begin() as connection:
        facts = cost_report(_read(connection, instance, declared, first, now))
        digest = digest_of_json(facts)
        data: dict[str, Json] = {"report": "cost", "workflow": declared.name, "month": facts["month"]}
        record(connection, EntryKind.REPORT_MADE, actor=actor, at=now, subject=digest, data=data)
    return CostReport(digest=digest, facts=facts)


def _declared(instance: Instance, name: str) -> Workflow:
    found = instance.workspace.workflows.get(WorkflowName(name))
    if found is None:
        known = ", ".join(instance.workspace.workflows) or "none"
        raise NotFound("WORKFLOW_UNKNOWN", f"There is no workflow {name[:80]!r}.", hint=f"Declared here: {known}.")
    return found


def _first_day(month: str | None, now: datetime) -> date:
    today = now.astimezone(UTC).date()
    if month is None:
        return today.replace(day=1)
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise UsageError("MONTH_INVALID", f"{month[:40]!r} is no month.", hint="Write it as 2026-11.") from None
    if first > today:
        raise UsageError("MONTH_AHEAD", f"{month} has not begun.", hint="Leave --month out for the present one.")
    return first


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


def _read(connection: Connection, instance: Instance, workflow: Workflow, first: date, now: datetime) -> CostFacts:
    workspace = instance.workspace
    tiers = {name: one.tier for name, one in workspace.spaces.items()}
    production = [name for name, tier in tiers.items() if tier is Tier.PRODUCTION]
    others = [name for name in tiers if name not in production]
    begin, until = _midnight(first), min(_midnight(last_day(first) + timedelta(days=1)), now)
    since = _midnight(min(first, last_whole_day(first, now) - timedelta(days=HISTORY_DAYS - 1)))
    name = workflow.name
    oldest = now - KEPT
    rows = spent(connection, name, spaces=production, since=since, until=until, slow_us=SLOW_US)
    before = spent(connection, name, spaces=others, since=oldest, until=until, slow_us=SLOW_US)
    releases = {row.release for row in (*rows, *before) if row.release is not None}
    known = {digest: _prices(connection, digest, workflow) for digest in releases}
    free = {digest for digest, price in known.items() if price is not None and price.unmetered is not None}
    used = tokens_used(connection, since=begin, until=until)
    begun = first_deployed(connection, [name])
    live = [at for (_, space), at in begun.items() if space in production]
    return CostFacts(
        organisation=workspace.organisation,
        workflow=name,
        first=first,
        now=now,
        costs=workspace.operations.costs,
        tiers=tiers,
        rows=[replace(row, without_price=0) if row.release in free else row for row in rows],
        before=[replace(row, without_price=0) if row.release in free else row for row in before],
        currencies=frozenset(price.currency for price in known.values() if price is not None and not price.unmetered),
        runs=spent_on_runs(connection, name, since=begin, until=until),
        runs_ever=spent_on_runs(connection, name, since=oldest, until=until),
        shadows=spent_on_shadows(connection, name, first=first, last=last_day(first) + timedelta(days=1)),
        share=token_share(used.get(name, 0), sum(used.values()), len(workspace.workflows)),
        live_since=min(live).astimezone(UTC).date() if live else None,
        is_kept=begin >= oldest,
        is_whole=all(at >= oldest for at in begun.values()),
    )


def _prices(connection: Connection, digest: Digest, workflow: Workflow) -> Prices | None:
    """Return what a release's models cost, None where nobody knows; the built-in one is unmetered by what it is."""
    try:
        release = load_release(connection, digest)
    except PilotageError:
        return None  # whoever watches releases tells that it does not verify
    prices, embedding = release.prices_by(workflow.model), release.retrieval.embedding
    if release.model.provider is Provider.EXTRACTIVE:
        vectors = None if prices is None else prices.embedding_nano
        prices = Prices(unmetered="the built-in model", embedding_nano=vectors)
    is_outside = embedding is not None and embedding_host(embedding) is not None
    return None if is_outside and (prices is None or prices.embedding_nano is None) else prices
