"""Ledger: is it whole? Entries with filters, the newest checkpoint, one entry with its proof, and verification.

Rule: entries name nobody: actors are pseudonyms, texts are commitments. Fail mode: a log that does not verify shows its
first bad entry and both hashes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from pilotage.console.pages.spaces import chosen_space
from pilotage.console.reply import Page
from pilotage.console.visit import Visit
from pilotage.control.ledger_verify import NotProven, prove_entry, verify_ledger
from pilotage.core.errors import NotFound
from pilotage.core.reason import Refusal
from pilotage.ledger.entry import Entry, decode_entry
from pilotage.ledger.kinds import EntryKind
from pilotage.ledger.tree import leaf_hash
from pilotage.ledger.verify import Verification
from pilotage.store.ledger_browse import LedgerFilter, browse_entries, count_waiting, newest_signed, unseen_below
from pilotage.store.ledger_entries import StoredEntry, entry_by_id

PAGE: Final = 50
_DIGITS: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry as a row."""

    stored: StoredEntry
    entry: Entry


def show_ledger(visit: Visit) -> Page:
    """Show entries, newest first."""
    return _page(visit, None)


def verify(visit: Visit) -> Page | Refusal:
    """Sign the tree as it is and verify everything from the first entry on."""
    found = verify_ledger(visit.instance)
    return found if isinstance(found, Refusal) else _page(visit, found)


def _page(visit: Visit, verified: Verification | None) -> Page:
    wanted, ignored = _filter(visit)
    with visit.reading.engine.connect() as connection:
        rows = browse_entries(connection, wanted, most=PAGE + 1)
        signed = newest_signed(connection)
        waiting = count_waiting(connection)
        unseen = unseen_below(connection, wanted)
    lines = [Line(stored=row, entry=decode_entry(bytes(row.bytes))) for row in rows[:PAGE]]
    kinds = [kind.value for kind in EntryKind]
    return Page(
        template="ledger.html",
        title="Ledger",
        values={
            "lines": lines,
            "older": lines[-1].stored.seq if len(rows) > PAGE else unseen,
            "unseen": unseen if len(rows) <= PAGE else None,
            "spaces": visit.instance.workspace.order,
            "signed": signed,
            "waiting": waiting,
            "wanted": wanted,
            "nouns": sorted({kind.partition(".")[0] for kind in kinds}),
            "kinds": kinds,
            "verified": verified,
            "ignored": ignored,
        },
    )


def _filter(visit: Visit) -> tuple[LedgerFilter, list[str]]:
    """Return the filter of the address, and the names of values that were ignored."""
    kind, before = visit.query.get("kind", ""), visit.query.get("before", "")
    ignored: list[str] = []
    nouns = {one.noun for one in EntryKind} | {one.value for one in EntryKind}
    if kind and kind not in nouns:
        ignored.append(f"kind {kind[:60]}")
        kind = ""
    if before and not (before.isascii() and before.isdigit() and len(before) <= _DIGITS):
        before = ""
    subject = visit.query.get("subject", "").strip()
    space, unknown = chosen_space(visit)
    if unknown:
        ignored.append(f"space {unknown[:60]}")
    number = int(before) if before else None
    return LedgerFilter(kind=kind, subject=subject, before=number, space=space or ""), ignored


def show_entry(visit: Visit) -> Page:
    """Show one entry with its exact bytes and its inclusion proof."""
    name = visit.params["entry"]
    with visit.reading.engine.connect() as connection:
        stored = entry_by_id(connection, name)
    if stored is None:
        raise NotFound("LEDGER_ENTRY_UNKNOWN", f"There is no ledger entry {name[:40]!r}.", hint="See /ledger.")
    proven = prove_entry(visit.reading, name)
    data = bytes(stored.bytes)
    return Page(
        template="entry.html",
        title=f"Ledger entry {stored.seq if stored.seq is not None else stored.id}",
        values={
            "stored": stored,
            "entry": decode_entry(data),
            "pretty": json.dumps(json.loads(data), indent=2, ensure_ascii=False),
            "leaf": leaf_hash(data).hex(),
            "proof": None if isinstance(proven, NotProven) else proven,
            "not_proven": proven.why if isinstance(proven, NotProven) else "",
        },
    )
