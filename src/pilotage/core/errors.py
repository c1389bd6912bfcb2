"""The one error tree. Edges map it to exit codes and HTTP statuses; rooms never do.

PilotageError                      code, message, hint
 ├─ UsageError                     exit 2: the caller must write something else
 │   ├─ InvalidFiles               problems with file, line and what to write instead
 │   └─ NotFound                   an id that names nothing (or nothing the caller may see)
 ├─ NotPermitted                   exit 3: the person may not do this
 ├─ Conflict                       exit 1: the state moved or another holds the lock
 └─ Unavailable                    exit 4: a dependency is down
     └─ IntegrityError             stored bytes do not match their digest: never served

An expected "no" (a gate not met, a refusal to answer) is a value, `core.reason.Refusal`, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass


class PilotageError(Exception):
    """Something a person must know. `code` is stable; `message` says what and where; `hint` what to do next."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint


class UsageError(PilotageError):
    """The request cannot be understood or does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mistake in a declared file. `line` counts from 1; 0 means the whole file."""

    file: str
    line: int
    what: str
    hint: str

    def __str__(self) -> str:
        """Render as `file:line: what is wrong. what to write instead`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what.rstrip('.')}. {self.hint}".rstrip()


class InvalidFiles(UsageError):
    """Every mistake found in the declared files, all at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("INVALID_FILES", "\n".join(str(p) for p in problems))
        self.problems = problems


class NotFound(UsageError):
    """An id that names nothing the caller may see."""


class NotPermitted(PilotageError):
    """The person lacks the role, or conflicts with their own work."""


class Conflict(PilotageError):
    """The state moved under the caller, or somebody else holds the lock."""


class Unavailable(PilotageError):
    """A dependency is down: database, model, identity provider. Try again later."""


class IntegrityError(Unavailable):
    """Stored bytes do not match their digest. Fails closed."""
