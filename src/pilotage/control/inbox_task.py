"""One thing that waits for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One sentence, where it is done, since when it waits, by when it is due (None: no time is set), and why mine.

    `key` names the task for whoever puts it off, which an urgent one does not allow; `path` is its page in the console.
    `others` may be asked to do it instead, in the same role. `command` is how the command line does what the page does,
    empty where `why` says all.
    """

    key: str
    sentence: str
    path: str
    since: datetime
    why: str
    minutes: int
    due: datetime | None = None
    is_urgent: bool = False
    others: tuple[str, ...] = ()
    command: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "task": self.key,
            "sentence": self.sentence,
            "path": self.path,
            "why": self.why,
            "since": to_text(self.since),
            "due": None if self.due is None else to_text(self.due),
            "minutes": self.minutes,
            "urgent": self.is_urgent,
            "others": list(self.others),
            "command": self.command or None,
        }
