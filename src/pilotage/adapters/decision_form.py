"""A gate's input as JSON and back, whole, so that a decision can be made again without the database.

Rule: what is written is read back equal, times to the microsecond. Fail mode: a document that is no gate input raises
ExportError; nothing is guessed for what it lacks.
"""

from __future__ import annotations

import msgspec

from pilotage.core.canonical import Form, Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.gate.export import ExportError
from pilotage.gate.records import GateInput


def input_json(given: GateInput) -> Json:
    """Return the input as plain JSON values; sets are sorted."""
    value: Json = msgspec.to_builtins(given, str_keys=True, order="deterministic")
    return value


def input_from(value: Json) -> GateInput:
    """Return the input that plain JSON values hold."""
    try:
        return msgspec.convert(value, GateInput)
    except msgspec.ValidationError as error:
        message = f"The gate's input is damaged: {error}."
        raise ExportError(message) from None


def input_digest(value: Json) -> Digest:
    """Return the digest of an input's JSON."""
    return digest_of_json(value, form=Form.PLAIN)
