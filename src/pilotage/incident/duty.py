"""Who is on duty: rota arithmetic on local wall time (operations.md 3.3).

Rule: people of a layer take turns from `start`, changing at the local time `at`; an override replaces whoever a layer
names. Fail mode: a moment before a layer's start has nobody on duty in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from pilotage.core.ids import PersonId
from pilotage.workspace.operations import Escalation, Handoff, Layer, Rota

_PROBE_HOURS = 6


DEFAULT_LADDER = (
    Escalation(to="layer:1", after_minutes=0),
    Escalation(to="layer:2", after_minutes=5),
    Escalation(to="role:operations-manager", after_minutes=15),
    Escalation(to="role:operations-lead", after_minutes=30),
    Escalation(to="role:support-engineer", after_minutes=30),
)
"""Whom to page where a rota declares no ladder of its own: primary, secondary, manager, all of operations."""


def levels_due(ladder: Iterable[Escalation], waited: timedelta) -> tuple[Escalation, ...]:
    """Return the levels after the first page whose minutes are over, the soonest first."""
    later = sorted((one for one in ladder if one.after_minutes > 0), key=lambda one: one.after_minutes)
    return tuple(one for one in later if waited >= timedelta(minutes=one.after_minutes))


def on_duty(rota: Rota, now: datetime) -> tuple[PersonId | None, ...]:
    """Return who is on duty in each layer, primary first; an override stands in for the primary."""
    zone = ZoneInfo(rota.time_zone)
    local = now.astimezone(zone).replace(tzinfo=None)
    found = [_of_layer(layer, local) for layer in rota.layers]
    for override in rota.overrides:
        starts, ends = datetime.fromisoformat(override.start), datetime.fromisoformat(override.end)
        if starts <= local < ends and found:
            found[0] = override.person
    return tuple(found)


def _of_layer(layer: Layer, local: datetime) -> PersonId | None:
    change = time.fromisoformat(layer.at)
    shift_day = local.date() if local.time() >= change else local.date() - timedelta(days=1)
    days = (shift_day - layer.start).days
    if days < 0 or not layer.people:
        return None
    turns = days if layer.handoff is Handoff.DAILY else days // 7
    return layer.people[turns % len(layer.people)]


def next_duty(rota: Rota, person: PersonId, now: datetime, *, most: int = 60) -> datetime | None:
    """Return the first full hour, from now, that finds a person on duty in any layer; None: none in `most` days.

    A change at half past is found by the next full hour.
    """
    if person not in rota_people(rota):
        return None
    hour = now.replace(minute=0, second=0, microsecond=0)
    moments = (hour + timedelta(hours=number) for number in range(24 * most))
    return next((moment for moment in moments if person in on_duty(rota, moment)), None)


@lru_cache(maxsize=64)  # a page asks for the same moment once for each gate of each release
def days_covered(rota: Rota, now: datetime, *, most: int = 60) -> int:
    """Return for how many days from now at least `minimum` different people are on duty at every probed hour."""
    for day in range(most):
        for hour in range(0, 24, _PROBE_HOURS):
            people = {who for who in on_duty(rota, now + timedelta(days=day, hours=hour)) if who is not None}
            if len(people) < rota.minimum:
                return day
    return most


def rota_people(rota: Rota) -> frozenset[PersonId]:
    """Return everybody the rota names."""
    layers = frozenset(who for layer in rota.layers for who in layer.people)
    return layers | frozenset(override.person for override in rota.overrides)
