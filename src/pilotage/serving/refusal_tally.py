"""Refusals are recorded one by one, up to 100 a minute for one address and code; further ones are counted (7.3).

The count becomes one ledger entry a minute, the address a commitment in it. Fail mode: counting never fails; a process
that is killed loses the counts of its current minute.
"""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime

from pilotage.core.clock import to_text
from pilotage.core.ids import new_ulid
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.serving.record_rows import GATEWAY_ACTOR
from pilotage.serving.refusal import Code
from pilotage.store.serving_records import RecordRows

SINGLE_PER_MINUTE = 100


class RefusalTally:
    """Counts refusals of the current minute by address and code."""

    def __init__(self) -> None:
        self._minute = datetime.min.replace(tzinfo=UTC)
        self._counts: Counter[tuple[str, Code]] = Counter()

    def count(self, address: str, code: Code, *, at: datetime) -> tuple[bool, list[RecordRows]]:
        """Count one refusal; tell whether it is recorded singly, and return the counts of a minute that has ended."""
        ended = self.collect(at)
        key = (address, code)
        self._counts[key] += 1
        return self._counts[key] <= SINGLE_PER_MINUTE, ended

    def collect(self, at: datetime) -> list[RecordRows]:
        """Return the entries of the last minute when `at` lies in a later one."""
        minute = at.replace(second=0, microsecond=0)
        if minute == self._minute:
            return []
        counts, self._counts = self._counts, Counter()
        since, self._minute = self._minute, minute
        over = [(address, code, total) for (address, code), total in counts.items() if total > SINGLE_PER_MINUTE]
        return [
            _entry(address, code, total - SINGLE_PER_MINUTE, since=since, at=at)
            for address, code, total in sorted(over)
        ]


def _entry(address: str, code: Code, count: int, *, since: datetime, at: datetime) -> RecordRows:
    opened = disclosures_of({"address": address}, entropy=secrets.token_bytes)
    entry = encode_entry(
        id=new_ulid(at),
        kind=EntryKind.INTERACTION_REFUSALS_COUNTED,
        at=at,
        actor=GATEWAY_ACTOR,
        subject=f"{code.value}/{to_text(since)}",
        data={"code": code.value, "count": count, "minute": to_text(since)},
        commit=commitments_of(opened),
    )
    return RecordRows(entry=entry, disclosures=opened)
