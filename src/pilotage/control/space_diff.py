"""`pilotage space diff`: which settings change for a release that goes from one space into the next.

Rule: what is shown before a promotion is what is recorded with it, by the same function. Fail mode: NotFound for a
space or a promotion that is not there, and for a first space without `against`; IntegrityError for an altered record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of_json
from pilotage.core.errors import IntegrityError, NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.gate.promotion import previous_space
from pilotage.ledger.entry import decode_entry
from pilotage.space.digest import SettingChange, changes_between
from pilotage.space.settings import Space, Tier
from pilotage.store.deployments import deployments_of
from pilotage.store.ledger_entries import entries_of
from pilotage.store.releases import named_release
from pilotage.workspace.records import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Entering:
    """What changes for a release that enters a space. `before` None: no space comes before it."""

    space: SpaceName
    before: SpaceName | None
    changes: tuple[SettingChange, ...]

    def as_json(self) -> dict[str, Json]:
        """Return the documented record, which a promotion keeps."""
        return {"space": self.space, "before": self.before, "changes": [one.as_json() for one in self.changes]}


def diff_spaces(
    instance: Instance, *, space: str, against: str | None = None, release: str | None = None
) -> dict[str, Json]:
    """Return how a space differs from the one before it or `against`; of `release`: as recorded when it entered."""
    target = _known(instance.workspace, space)
    if release is not None and against is not None:
        message = "`against` compares settings of now, `release` shows those recorded. Give one of them."
        raise UsageError("SPACE_DIFF", message)
    if release is not None:
        return _recorded(instance, target, release)
    before = _before(instance.workspace, target) if against is None else _known(instance.workspace, against)
    if before is None:
        message = f"No space comes before {space}."
        raise NotFound("SPACE_FIRST", message, hint="Name one to compare it with: --against SPACE.")
    return _entering(target, before).as_json()


def _entering(target: Space, before: Space | None) -> Entering:
    changes = () if before is None else changes_between(before, target)
    return Entering(space=target.name, before=None if before is None else before.name, changes=changes)


def changes_ahead(workspace: Workspace) -> Mapping[SpaceName, Entering]:
    """Return by space what changes for a release that enters it, in the order of promotion."""
    return {one.name: _entering(one, _before(workspace, one)) for one in workspace.spaces.values()}


def _before(workspace: Workspace, target: Space) -> Space | None:
    return None if target.tier is Tier.SANDBOX else previous_space(workspace.order, workspace.spaces, target.name)


def _known(workspace: Workspace, name: str) -> Space:
    found = workspace.spaces.get(SpaceName(name))
    if found is None:
        known = ", ".join(workspace.order)
        raise NotFound("SPACE_UNKNOWN", f"There is no space {name!r}.", hint=f"Declared: {known}.")
    return found


def _recorded(instance: Instance, target: Space, release: str) -> dict[str, Json]:
    with instance.engine.connect() as connection:
        stored = named_release(connection, release)
        found = deployments_of(connection, stored.workflow, releases=[stored.digest])
        recorded = [one for one in found if one.space == target.name and one.space_change is not None]
        if not recorded:
            message = f"No promotion of {stored.digest[:19]} into {target.name} recorded its settings."
            raise NotFound("PROMOTION_UNKNOWN", message, hint="Without --release it shows what would change now.")
        shown = dict(recorded[-1].space_change or {})
        entries = [decode_entry(one.bytes) for one in entries_of(connection, recorded[-1].id)]
    if digest_of_json(shown) not in {one.data.get("space_change") for one in entries}:
        message = f"The settings kept with promotion {recorded[-1].id} are not what the ledger says."
        raise IntegrityError("LEDGER_MISMATCH", message, hint="Restore a backup; see `pilotage doctor`.")
    return shown
