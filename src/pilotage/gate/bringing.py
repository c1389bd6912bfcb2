"""The command that brings evidence of a kind: a run of our own, or a file that is attached."""

from __future__ import annotations

from typing import Final

OWN: Final = {
    "evaluation": "pilotage evaluate DIGEST",
    "permissions": "pilotage suite permission DIGEST",
    "fairness": "pilotage suite fairness DIGEST",
    "redteam": "pilotage suite redteam DIGEST",
    "drill.rollback": "pilotage drill rollback WORKFLOW --space SPACE",
    "lineage": "pilotage evidence own DIGEST",
    "classification": "pilotage evidence own DIGEST",
}
"""Kinds that Pilotage brings itself, and how it is asked to."""


def command_for(kind: str, *, space: str | None = None) -> str:
    """Return the command; `space` None: it is of no space, or the kind comes by a run."""
    if kind in OWN:
        return OWN[kind]
    return f"pilotage evidence add DIGEST FILE --kind {kind}" + ("" if space is None else f" --space {space}")
