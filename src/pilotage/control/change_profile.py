"""`pilotage profile`: the zone in which pages show this account its times, and whether keys lead through the console.

Rule: it changes no right and no decision, and nobody changes another's. The ledger says that it was changed, not how.
Fail mode: UsageError for a zone that this machine does not know; a Refusal for a service, which looks at no page.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.core.zones import zone_names
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.ledger.entry import EntryKind
from pilotage.store.person_settings import Settings, keep_settings, settings_of

_SUGGESTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an account chose, and the workspace's zone, which holds where it chose none."""

    chosen: Settings
    workspace_zone: str

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "zone": self.chosen.zone,
            "workspace_zone": self.workspace_zone,
            "shortcuts": self.chosen.shortcuts,
        }


def view_profile(instance: Instance, *, actor: Principal) -> Profile:
    """Return the actor's own profile."""
    with instance.engine.connect() as connection:
        chosen = settings_of(connection, actor.id)
    return Profile(chosen=chosen, workspace_zone=instance.workspace.timezone)


def change_profile(
    instance: Instance, *, actor: Principal, zone: str | None = None, shortcuts: bool | None = None
) -> Profile | Refusal:
    """Change what is given and keep the rest; "" as zone is the workspace's again."""
    if actor.kind is not PrincipalKind.PERSON:
        text = "A service looks at no page, so it has no profile."
        return Refusal(reasons=(Reason(code="SOD_SERVICE", text=text, where=actor.label),))
    if zone is None and shortcuts is None:
        raise UsageError("NOTHING_TO_CHANGE", "Nothing is to change.", hint="Give a zone, or shortcuts on or off.")
    if zone:
        _check(zone)
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        before = settings_of(connection, actor.id)
        chosen = Settings(
            zone=before.zone if zone is None else zone or None,
            shortcuts=before.shortcuts if shortcuts is None else shortcuts,
        )
        changed: list[Json] = [name for name in Settings.__slots__ if getattr(before, name) != getattr(chosen, name)]
        if changed:
            keep_settings(connection, actor.id, chosen)
            record(connection, EntryKind.PROFILE_CHANGED, actor=actor, at=now, subject="own", data={"changed": changed})
    return Profile(chosen=chosen, workspace_zone=instance.workspace.timezone)


def _check(zone: str) -> None:
    known = zone_names()
    if zone in known:
        return
    near = get_close_matches(zone, known, n=_SUGGESTED)
    hint = f"Near it: {', '.join(near)}." if near else "Write an IANA name such as Europe/Zurich or UTC."
    raise UsageError("ZONE_UNKNOWN", f"There is no time zone {zone[:60]!r}.", hint=hint)
