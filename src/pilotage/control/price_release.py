"""`pilotage release price`: what the model of a release costs, for one that was sealed before prices were kept.

Rule: a price that was sealed, or that the workflow declares of the same model, is never written over; who said which
price, and when, is a ledger entry, since a cost cap is held by it. Fail mode: a Refusal; nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.located import Problems, from_plain
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.content import ReleaseContent
from pilotage.release.model import ModelSettings, Prices, Provider
from pilotage.release.model_file import parse_prices
from pilotage.store.releases import find_release, keep_prices, load_release, named_release


def price_release(
    instance: Instance, *, actor: Principal, release: str, prices: Mapping[str, Json]
) -> dict[str, Json] | Refusal:
    """Keep a release's prices, written as in model.yaml; raise NotFound, or InvalidFiles for another form."""
    refusal = may(actor.roles, Action.SEAL)
    if refusal is not None:
        return refusal
    problems = Problems()
    found = parse_prices(from_plain(dict(prices), file="prices"), problems)
    problems.raise_if_any()
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        digest = named_release(connection, release).digest
        find_release(connection, digest, lock=True)
        sealed = load_release(connection, digest)
        workflow = instance.workspace.workflows.get(sealed.workflow)
        reason = _known(sealed, None if workflow is None else workflow.model)
        if reason is not None:
            return Refusal(reasons=(reason,))
        keep_prices(connection, digest, found)
        said = _said(found)
        record(connection, EntryKind.RELEASE_PRICED, actor=actor, at=now, subject=digest, data=said)
    return {"digest": digest, "model": sealed.model.model, "prices": said}


def _known(sealed: ReleaseContent, declared: ModelSettings | None) -> Reason | None:
    """Return why the price of a release is not to be said here, None where nobody has said it."""
    if sealed.model.provider is Provider.EXTRACTIVE:
        text = "The built-in model costs nothing."
    elif sealed.is_model(declared):
        text = "Its workflow has the same model: write `prices` in model.yaml, where they count for both."
    elif sealed.prices is not None:
        text = "Its price was kept when it was sealed, and what was paid stands in records; nobody writes over it."
    else:
        return None
    return Reason(code="PRICE_KNOWN", text=text, where=sealed.digest)


def _said(prices: Prices) -> dict[str, Json]:
    return {name: value for name, value in asdict(prices).items() if value is not None}
