"""What a use case needs from the rim: the declared workspace, the store, the clock, the keys and the home folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from pilotage.adapters.keyring import Keyring
from pilotage.core.clock import Clock
from pilotage.workspace.records import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running Pilotage. `root`: the workspace folder; `home`: PILOTAGE_HOME; `embedded`: the server is ours."""

    workspace: Workspace
    root: Path
    home: Path
    engine: Engine
    clock: Clock
    keyring: Keyring
    embedded: bool
