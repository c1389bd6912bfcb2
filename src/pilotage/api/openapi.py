"""The OpenAPI 3.1 document, made from the table: what is served is what is described.

Checked in as `docs/reference/openapi.json` and compared by a test. Fail mode: a field without a schema cannot be
described, and the process does not start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pilotage import __version__
from pilotage.api.operation import Body, Operation

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_REFUSALS: Final = {
    "400": "The request cannot be read.",
    "401": "No valid key or token came with it.",
    "403": "The caller may not do this; the reasons say which role may.",
    "404": "There is nothing of this name that the caller may see.",
    "409": "The answer is no: every reason is given, and nothing was changed.",
    "422": "A field must be written differently.",
    "503": "A dependency is down; try again.",
}
_UPLOAD_REFUSALS: Final = {
    **_REFUSALS,
    "413": "The file is larger than this operation reads.",
    "429": "The caller has as many uploads under way as one may have; try again after the time that is given.",
    "503": "A dependency is down, or as many uploads are under way as are taken at a time; try again.",
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document."""
    taken = [operation.takes for operation in operations if operation.takes is not None]
    _, schemas = msgspec.json.schema_components(taken, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(f"/api/v1{operation.path}", {})[operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pilotage control plane",
            "version": __version__,
            "summary": "Releases, gates, evidence, rollouts and the ledger: the command line's commands over HTTP.",
            "description": "Questions are asked at the OpenAI-compatible `/v1/chat/completions`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas, "Refused": _REFUSED},
        },
    }


def document_text(operations: Sequence[Operation]) -> str:
    """Return the document as it is checked in."""
    return json.dumps(document(operations), indent=2, ensure_ascii=False) + "\n"


_REASON: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code", "text"],
    "properties": {name: {"type": "string"} for name in ("code", "text", "where", "observed", "limit")},
}
_JSON: Final = {"application/json": {"schema": {"type": "object"}}}
_REFUSED: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "reasons"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "reasons": {"type": "array", "items": _REASON},
            },
        }
    },
}


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Refused"}}}
    refusals = _REFUSALS if operation.uploads is None else _UPLOAD_REFUSALS
    given = {"application/octet-stream": {}} if operation.hands_out else _JSON
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": f"As `pilotage {operation.command}`. A service's key needs the scope `{operation.scope}`.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(operation.path)
        ],
        "responses": {
            "200": {"description": operation.gives, "content": given},
            **{status: {"description": words, "content": refused} for status, words in refusals.items()},
        },
    }
    if operation.takes is not None:
        _take(found, operation, operation.takes, schemas)
    return found


def _take(found: dict[str, Any], operation: Operation, takes: type[Body], schemas: dict[str, Any]) -> None:
    if operation.method == "GET" or operation.uploads:
        schema = schemas[takes.__name__]
        needed = set(schema.get("required", ()))
        found["parameters"] += [
            {"name": name, "in": "query", "required": name in needed, "schema": one}
            for name, one in schema["properties"].items()
        ]
    if operation.uploads:
        found["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    elif operation.method != "GET":
        reference = {"$ref": f"#/components/schemas/{takes.__name__}"}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": reference}}}
