"""Secrets that `kubernetes` of pilotage.yaml would have in clear in rendered files.

Rule: what looks like one is refused by the place where it stands, and not repeated. Fail mode: a secret that looks like
none is not found; the folder's own scan for secrets is beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pilotage.core.errors import UsageError
from pilotage.guard.secrets import has_secret
from pilotage.workspace.kubernetes import KubernetesSettings

_OPTION: Final = re.compile(r"-{1,2}([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", re.DOTALL)
_NAMED: Final = re.compile(
    r"(?:.*[-_./])?(?:api[-_]?key|access[-_]?key|token|passwd|password|passphrase)", re.IGNORECASE
)
_SHAPED: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@|\b(?:bearer|basic)\s+[\w.~+/=-]{12,}", re.IGNORECASE)
_SECRET: Final = re.compile(r"(?:.*[-_])?secret", re.IGNORECASE)


def check_clear(cluster: KubernetesSettings) -> None:
    """Raise UsageError that names every place where a secret stands in clear."""
    server = cluster.model_server
    places = [*_in_options(() if server is None else server.args), *_in_notes(cluster.ingress.annotations)]
    if places:
        message = f"Every reader of the rendered files would read the secret in {', '.join(places)}."
        hint = (
            "Leave it out of model_server.args: our own pods alone reach the model server; or name a file below /tls,"
            " where its tls_secret is mounted. In an annotation, name a Secret that the controller reads."
        )
        raise UsageError("SECRET_IN_CLEAR", message, hint=hint)


def _in_options(args: Sequence[str]) -> Iterator[str]:
    for number, one in enumerate(args):
        option = _OPTION.fullmatch(one)
        name, value = ("", None) if option is None else option.groups()
        if value is None and number + 1 < len(args) and not args[number + 1].startswith("-"):
            value = args[number + 1]
        is_named = _NAMED.fullmatch(name) or _SECRET.fullmatch(name)
        if (is_named and value and not value.startswith("/")) or _is_shaped(one):
            yield f"kubernetes.model_server.args ({f'--{name}' if name else f'number {number + 1}'})"


def _in_notes(notes: Mapping[str, str]) -> Iterator[str]:
    for key, value in notes.items():
        if (value and _NAMED.fullmatch(key)) or _is_shaped(value):
            yield f"kubernetes.ingress.annotations ({key})"


def _is_shaped(value: str) -> bool:
    return bool(_SHAPED.search(value)) or has_secret(value)
