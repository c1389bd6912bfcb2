"""Whether a release may enter a space (gates.md 5): every check, every reason at once.

Rule: pure; a sandbox asks for a valid seal alone. Fail mode: what is not known blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Reason
from pilotage.space.settings import Space, Tier

_STATE_CODES = {"revoked": "RELEASE_REVOKED", "quarantined": "RELEASE_QUARANTINED", "deprecated": "RELEASE_DEPRECATED"}


PINNED_IN: Final = frozenset({Tier.STAGING, Tier.PRODUCTION})
"""Where a floating model needs an acceptance (gates.md 1.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A release standing in a space: since when it has been healthy there (None: not known)."""

    space: SpaceName
    healthy_since: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionInput:
    """Everything a promotion depends on. `emergency`: the incident an emergency change into the space names.

    `floating`: the models named by an alias; `stage`: why the release has no documents of the stage the space reads;
    `accepted`: codes that an acceptance covers.
    """

    release: Digest
    state: str
    is_verified: bool
    authors: frozenset[PersonId]
    voters: frozenset[PersonId]
    sealer: PersonId
    promoter: PersonId
    is_person: bool
    floating: tuple[str, ...]
    space: Space
    previous: Space | None
    stays: tuple[Stay, ...]
    gates: tuple[Reason, ...]
    freezes: tuple[Reason, ...] = ()
    incidents: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    residency: tuple[str, ...] = ()
    stage: str | None = None
    approved_config: Digest | None = None
    live_config: Digest | None = None
    unfit: tuple[Reason, ...] = ()
    rollout: str | None = None
    accepted: frozenset[str] = frozenset()
    accepters: frozenset[PersonId] = frozenset()
    emergency: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def promotion_problems(given: PromotionInput, now: datetime) -> tuple[Reason, ...]:
    """Return every reason why the release may not enter the space; nothing means it may."""
    found = [*_release(given)]
    if given.stage is not None:
        found.append(_reason("DATA_STAGE", given.stage, given.space.name))
    if given.space.tier is Tier.SANDBOX:
        return tuple(found)
    found += _order(given, now)
    found += given.gates
    if given.emergency is None:
        found += given.freezes
    others = [one for one in given.incidents if one != given.emergency]
    found += [_reason("INCIDENT_OPEN", f"A critical incident is open: {one}.", one) for one in others]
    found += [_reason("POST_UNCONFIRMED", f"Go-live in {one} was not confirmed yet.", one) for one in given.unconfirmed]
    found += [
        _reason("RESIDENCY", f"Data, model or logs would stand where they may not: {one}.", given.space.name)
        for one in given.residency
    ]
    if given.approved_config is not None and given.approved_config != given.live_config:
        text = f"The settings of {given.space.name} differ from those the gate approved. Approve them again."
        found.append(_reason("SPACE_DRIFT", text, given.space.name))
    found += given.unfit
    if given.rollout is not None:
        text = f"Rollout {given.rollout} is active in {given.space.name}. Let it end, or abort it."
        found.append(_reason("ROLLOUT_ACTIVE", text, given.rollout))
    found += _model(given)
    found += _separation(given)
    return tuple(found)


def _reason(code: str, text: str, where: str) -> Reason:
    return Reason(code=code, text=text, where=where)


def _release(given: PromotionInput) -> list[Reason]:
    found: list[Reason] = []
    code = _STATE_CODES.get(given.state)
    if code is not None:
        found.append(_reason(code, f"The release is {given.state}.", given.release))
    if not given.is_verified:
        text = "The release does not verify. See `pilotage release verify`."
        found.append(_reason("VERIFY_BYTES", text, given.release))
    return found


def _order(given: PromotionInput, now: datetime) -> list[Reason]:
    if given.previous is None:
        return []
    stays = [one for one in given.stays if one.space == given.previous.name]
    if not stays:
        text = f"The release does not stand in {given.previous.name}, which comes before {given.space.name}."
        return [_reason("PROMOTION_ORDER", text, given.previous.name)]
    since = [one.healthy_since for one in stays if one.healthy_since is not None]
    needed = timedelta(seconds=given.previous.soak_s)
    healthy = now - min(since) if since else timedelta(0)
    if healthy < needed:
        if given.emergency is not None and since:
            return []
        text = f"It has been healthy in {given.previous.name} for {_hours(healthy)}; it takes {_hours(needed)}."
        return [
            Reason(
                code="SOAK_SHORT",
                text=text,
                where=given.previous.name,
                observed=_hours(healthy),
                limit=_hours(needed),
            )
        ]
    return []


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:.1f} h"


def _model(given: PromotionInput) -> list[Reason]:
    if given.space.tier not in PINNED_IN or not given.floating or "MODEL_NOT_PINNED" in given.accepted:
        return []
    text = (
        f"The {' and the '.join(given.floating)} is named by a floating alias; from staging on, pin a version the "
        "provider says is fixed, or let a medium risk acceptance name MODEL_NOT_PINNED under findings."
    )
    return [_reason("MODEL_NOT_PINNED", text, given.release)]


def _separation(given: PromotionInput) -> list[Reason]:
    if given.space.tier not in {Tier.STAGING, Tier.PRODUCTION} or not given.is_person:
        return []
    if given.promoter in given.authors:
        text = f"{given.promoter} made a part of this release. Somebody else must promote it."
        return [_reason("SOD_CONFLICT", text, "author")]
    if given.promoter in given.accepters:
        text = f"{given.promoter} accepted a risk of this release. Somebody else must promote it."
        return [_reason("SOD_CONFLICT", text, "accepter")]
    if given.space.tier is Tier.PRODUCTION and given.promoter in given.voters:
        text = f"{given.promoter} voted on this release. Somebody else must bring it into production."
        return [_reason("SOD_CONFLICT", text, "voter")]
    return []


def previous_space(order: Sequence[SpaceName], spaces: Mapping[SpaceName, Space], name: SpaceName) -> Space | None:
    """Return the space a release must have been in before; a further production space follows staging (5.1)."""
    space = spaces[name]
    before = [spaces[one] for one in order[: list(order).index(name)] if spaces[one].tier is not Tier.SANDBOX]
    if space.tier is Tier.PRODUCTION:
        staging = [one for one in before if one.tier is Tier.STAGING]
        same = [one for one in before if one.tier is Tier.PRODUCTION and not _is_apart(one, space)]
        return same[-1] if same else (staging[-1] if staging else None)
    return before[-1] if before else None


def _is_apart(one: Space, other: Space) -> bool:
    """Tell whether two production spaces stand in different parts of the world: neither waits for the other.

    A space that does not say where it stands is apart from none.
    """
    here, there = _places(one), _places(other)
    return bool(here and there) and here.isdisjoint(there) and _is_eu(here) != _is_eu(there)


def _places(space: Space) -> frozenset[str]:
    return frozenset(name.casefold() for name in (*space.regions, space.region or "") if name)


def _is_eu(places: frozenset[str]) -> bool:
    return any(name.startswith("eu") for name in places)
