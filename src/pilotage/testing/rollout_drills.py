"""Passed drills, for tests of what needs them."""

from __future__ import annotations

from datetime import timedelta

from pilotage.core.digest import Digest
from pilotage.core.ids import new_ulid
from pilotage.space.digest import space_digest
from pilotage.space.settings import Tier
from pilotage.store.drills import StoredDrill, add_drill
from pilotage.testing.rollouts import WORKFLOW, RolloutWorld


def pass_drills(world: RolloutWorld, release: Digest) -> None:
    """Record a passed rollback drill in every staging and production space."""
    now = world.clock.now()
    with world.engine.begin() as connection:
        for space in world.workspace.spaces.values():
            if space.tier not in {Tier.STAGING, Tier.PRODUCTION}:
                continue
            add_drill(
                connection,
                StoredDrill(
                    id=new_ulid(now),
                    kind="rollback",
                    workflow=WORKFLOW,
                    space=space.name,
                    release=release,
                    space_digest=space_digest(space),
                    state="passed",
                    started_by="p",
                    started_at=now,
                    finished_at=now,
                    valid_until=now + timedelta(days=90),
                ),
            )
