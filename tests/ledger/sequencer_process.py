"""One process of the race: a sequencer, and a writer that commits entries until it is killed."""

from __future__ import annotations

import secrets
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from pilotage.adapters.keyring import Keyring
from pilotage.core.ids import new_ulid
from pilotage.jobs.sequencer import Sequencer
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.engine import make_engine
from pilotage.store.ledger_entries import append_many
from pilotage.testing.ledger import LedgerHome


def main(url: str, home: str) -> None:
    """Write, number and report every commit on stdout, before and after nothing else."""
    engine = make_engine(url)
    ledger = LedgerHome(home=Path(home), engine=engine, keyring=Keyring.open(Path(home), {}))
    stop = threading.Event()
    threading.Thread(target=Sequencer(ledger, alert=lambda _: None).run, args=(stop,), daemon=True).start()
    at = datetime.now(UTC)
    while True:
        entries = [
            encode_entry(
                id=new_ulid(at),
                kind=EntryKind.WORKSPACE_CHANGED,
                at=at,
                actor="system:race",
                subject=secrets.token_hex(4),
            )
            for _ in range(20)
        ]
        try:
            with engine.begin() as connection:
                append_many(connection, entries)
        except SQLAlchemyError:
            continue
        sys.stdout.write("".join(f"{entry.id}\n" for entry in entries))
        sys.stdout.flush()


main(sys.argv[1], sys.argv[2])
