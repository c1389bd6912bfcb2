"""Boards whose evidence becomes complete by a fact alone, with nobody looking: kept within a minute (gates.md 4.3).

Rule: the newest sealed release of each workflow, and each attempt that keeps no board yet. Fail mode: a release whose
gates cannot be read is left to whoever looks at it.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection

from pilotage.control.board_snapshot import notice_complete
from pilotage.control.gate_case import open_to_look
from pilotage.control.gate_chain import report_of
from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import WorkflowName
from pilotage.release.seal import ReleaseState
from pilotage.store.gate_votes import boards_kept, boards_open
from pilotage.store.releases import StoredRelease, find_release, head_of

LOG: Final = logging.getLogger("pilotage.gates")
MACHINE: Final = "system:boards"


def watch_boards(connection: Connection, instance: Instance) -> tuple[Digest, ...]:
    """Look at every board that is not kept yet; return the releases that were looked at."""
    boards = [gate.name for gate in instance.workspace.gates.values() if gate.pre.board is not None]
    looked: list[Digest] = []
    for stored in _releases(connection, instance) if boards else ():
        bare = [name for name in boards if name not in boards_kept(connection, stored.digest)]
        if not bare:
            continue
        try:
            with connection.begin_nested():
                chain = open_to_look(connection, instance, stored, instance.clock.now())
                notice_complete(chain, [report_of(chain, name) for name in bare], by=MACHINE)
        except PilotageError as error:
            LOG.warning("The boards of %s cannot be looked at: %s", stored.digest[:19], error.code)
        else:
            looked.append(stored.digest)
    return tuple(looked)


def _releases(connection: Connection, instance: Instance) -> tuple[StoredRelease, ...]:
    heads = (head_of(connection, workflow) for workflow in instance.workspace.workflows)
    waiting = (find_release(connection, release) for release in boards_open(connection))
    found = {one.digest: one for one in (*heads, *waiting) if one is not None}
    known = instance.workspace.workflows
    return tuple(
        one for one in found.values() if one.state is ReleaseState.SEALED and WorkflowName(one.workflow) in known
    )
