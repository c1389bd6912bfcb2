"""How firmly a model is identified (gates.md 1.4), of models that answer and of models that embed alike."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from pilotage.core.fields import TEXT, Fields, choice


class PinKind(StrEnum):
    """FLOATING is refused from staging on; BUILTIN is what comes with this version."""

    WEIGHTS = "weights"
    DATED = "dated"
    REVISION = "revision"
    FLOATING = "floating"
    BUILTIN = "builtin"


_FORMS: Final = {
    PinKind.WEIGHTS: (re.compile(r"sha256:[0-9a-f]{64}"), "sha256: and 64 lowercase hex digits"),
    PinKind.REVISION: (re.compile(r"[0-9a-f]{40}"), "a repository commit of 40 hex digits"),
}


def read_pin(fields: Fields) -> tuple[PinKind, str]:
    """Read `{kind, id}`."""
    kind = fields.need("kind", choice(PinKind))
    pin = fields.need("id", TEXT)
    pattern, form = _FORMS.get(kind, (None, ""))
    if pattern is not None and pin and pattern.fullmatch(pin) is None:
        fields.problem("id", f"A pin of kind {kind} cannot be {pin[:80]!r}", f"Write {form}.")
    return kind, pin
