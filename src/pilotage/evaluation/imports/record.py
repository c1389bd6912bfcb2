"""What an import found: rows for the golden format, and an account of every case that was read (evaluation.md 9).

Rule: each case read is imported as it is, converted (something of it is said), or skipped with its reason; the three
add up. An assertion nobody here can check stays on its case as `imported:<type>`. Fail mode: a file that cannot be
parsed as its format is a UsageError; no part of a file is ever run, filled in or fetched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError

MAX_BYTES = 50_000_000
MAX_DEPTH = 50
_CASE_ID = re.compile(r"[A-Za-z0-9._-]{1,120}")
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCase:
    """One case as a golden row without an asker. `lossy` says what of it the golden format cannot hold.

    `named` is the text that the row's id was made from, as it stands in the file; "" when it is the question.
    """

    row: Mapping[str, Json]
    lossy: tuple[str, ...] = ()
    named: str = ""

    @property
    def unsupported(self) -> tuple[str, ...]:
        """The assertions that stay unscored, as `imported:<type>`."""
        found = self.row.get("unsupported")
        return tuple(map(str, found)) if isinstance(found, Sequence) and not isinstance(found, str) else ()


@dataclass(slots=True, kw_only=True)
class Account:
    """Every case that was read."""

    cases: list[ImportedCase] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many cases the file holds."""
        return len(self.cases) + len(self.skipped)

    def skip(self, case: str, reason: str) -> None:
        """Leave a case out, and say why."""
        self.skipped.append((case[:120], reason))

    def as_json(self) -> dict[str, Json]:
        """Return the account; imported, converted and skipped sum to read."""
        converted = [one for one in self.cases if one.lossy or one.unsupported]
        return {
            "read": self.read,
            "imported": len(self.cases) - len(converted),
            "converted": len(converted),
            "unsupported": [
                {"case": str(one.row["id"]), "type": kind.removeprefix("imported:"), "reason": "No scorer checks it."}
                for one in self.cases
                for kind in one.unsupported
            ],
            "lossy": [{"case": str(one.row["id"]), "lost": what} for one in self.cases for what in one.lossy],
            "skipped": [{"case": case, "reason": reason} for case, reason in self.skipped],
        }


@dataclass(slots=True, kw_only=True)
class RowBuilder:
    """One golden row in the making."""

    question: str
    expect: dict[str, Json] = field(default_factory=dict)
    history: list[Json] = field(default_factory=list)
    lossy: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    named: str = ""

    def add(self, key: str, value: Json) -> None:
        """Add one entry to a list of expectations, once."""
        held = self.expect.setdefault(key, [])
        assert isinstance(held, list)
        if value not in held:
            held.append(value)

    def cannot(self, kind: str) -> None:
        """Keep an assertion that nobody here can check."""
        name = f"imported:{kind[:60]}"
        if name not in self.unsupported:
            self.unsupported.append(name)

    def finish(self, source: str) -> ImportedCase:
        """Return the case. Without an id of its own it gets one from its question, the same on every import."""
        row: dict[str, Json] = {
            "id": clean_identity(self.named) or identity_of(self.question),
            "question": self.question,
        }
        if self.history:
            row["history"] = list(self.history)
        if self.expect:
            row["expect"] = dict(self.expect)
        if self.unsupported:
            row["unsupported"] = list(self.unsupported)
        row["provenance"] = {"origin": "imported", "source": source}
        return ImportedCase(row=row, lossy=tuple(self.lossy), named=self.named)


def identity_of(text: str) -> str:
    """Return an id for a case that has none."""
    return f"imported-{hashlib.sha256(text.encode('utf-8', errors='replace')).hexdigest()[:16]}"


def clean_identity(text: str) -> str:
    """Return a name as a case id, "" when nothing of it can stand in one."""
    name = _NOT_IN_ID.sub("-", text).strip("-")[:120]
    return name if _CASE_ID.fullmatch(name) else ""


def unreadable(form: str, what: str, hint: str) -> UsageError:
    """Return the error of a file that is not what it should be."""
    return UsageError("IMPORT_UNREADABLE", f"This is no {form} file: {what}.", hint=hint)


def words(value: Json) -> str:
    """Return a text, "" for anything else."""
    return value if isinstance(value, str) else ""


def items(value: Json) -> Sequence[Json]:
    """Return the members of a list; a single value is a list of one, null of none."""
    if value is None:
        return ()
    return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def table(value: Json) -> Mapping[str, Json]:
    """Return a mapping, empty for anything else."""
    return value if isinstance(value, Mapping) else {}
