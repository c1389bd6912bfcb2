"""An instance with only what the ledger's use cases need, for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from pilotage.adapters.keyring import Keyring
from pilotage.testing.clock import SimulatedClock


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWorkspace:
    """A workspace, as far as the ledger cares."""

    id: str = "sample-bank"
    declared: str = ""

    @property
    def ledger(self) -> str:
        """The name of its log, where none is declared."""
        return self.declared or f"ledger.{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHome:
    """A database, a home folder, keys and a clock; satisfies `control.ledger_instance.LedgerInstance`."""

    home: Path
    engine: Engine
    keyring: Keyring
    workspace: NamedWorkspace = field(default_factory=NamedWorkspace)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
