"""Whether a reading was made by the reader in force: one of another version is unknown.

Rule: a `Format` says the version of its reader, a reading which made it. One that does not say was made by the first of
whatever can be of its kind, where anything can; what Pilotage found itself no reader read. Fail mode: a reading of
another version, or of a reader that is gone, counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from pilotage.core.reason import Reason
from pilotage.evidence.read import FORMATS, READ_BY
from pilotage.evidence.records import Evidence
from pilotage.evidence.source import Format
from pilotage.evidence.superseding import INSTANCE

CHANGED: Final = "EV_READER_CHANGED"


def changed_reason(item: Evidence, formats: Sequence[Format] = FORMATS) -> Reason | None:
    """Return why a reading does not count any more, None where its reader still makes the same of the bytes."""
    if item.producer == INSTANCE:
        return None
    seen = item.refs.get(READ_BY)
    able = [one for one in formats if any(fnmatchcase(item.kind, pattern) for pattern in one.kinds)]
    if seen in {one.named for one in able} or (seen is None and able and all(one.version == 1 for one in able)):
        return None
    wanted = ", ".join(one.named for one in able if seen is None or one.id == seen.rpartition("@")[0]) or "no reader"
    text = (
        f"{item.kind} evidence {item.id} was read by {seen or 'an earlier version'}; this Pilotage reads such a file by"
        f" {wanted}, which may make something else of it. Attach the same file again: `pilotage evidence add`."
    )
    return Reason(code=CHANGED, text=text, where=item.id, observed=seen or "unknown", limit=wanted)
