"""A release that cannot be opened, as a run meets it: what it answered before is found by what its answers rested on.

Rule: its model's name and the rights on its documents are read as for one that answers, so that equal askers meet equal
answers. Fail mode: of a release whose bytes do not verify nothing is known, so nothing it answered is found.
"""

from __future__ import annotations

from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName
from pilotage.evaluation.target import AbsentTarget
from pilotage.store.evaluation_facts import version_facts
from pilotage.store.releases import load_release


def absent_target(instance: Instance, release: Digest, space: SpaceName | None) -> AbsentTarget:
    """Return the target; `space` None: it was asked in no space."""
    with instance.engine.connect() as connection:
        try:
            content = load_release(connection, release)
        except PilotageError:
            return AbsentTarget()
        place = None if space is None else instance.workspace.spaces.get(space)
        pin = content.corpora.get(content.headless_stage if place is None else place.data_stage)
        if pin is None:
            return AbsentTarget(fingerprint=content.model.fingerprint)
        since = instance.workspace.acls_confirmed_since(pin.name, instance.clock.now())
        known = version_facts(connection, pin.name, pin.version, since)
        return AbsentTarget(fingerprint=content.model.fingerprint, known=known)
