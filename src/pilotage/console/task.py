"""One thing that waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One sentence, where it is done, since when it waits, by when it is due (None: no time is set), and why mine."""

    sentence: str
    path: str
    since: datetime
    why: str
    minutes: int
    due: datetime | None = None
