"""Fingerprints of a release as it stands in memory, part by part (gates.md 5.4).

A serving process takes them of what it answers with, a worker of the sealed bytes; where they differ the process no
longer serves what was approved. Rule: computed from the parsed content each time, never remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.plain import plain
from pilotage.release.content import ReleaseContent


def fingerprints(content: ReleaseContent) -> Mapping[str, Digest]:
    """Return the fingerprint of each part that decides an answer."""
    guard = content.guard
    parts: Mapping[str, object] = {
        "prompt": content.prompt,
        "model": content.model,
        "retrieval": {"settings": content.retrieval, "corpora": content.corpora},
        "guard": replace(guard, egress=(), tools=()),
        "egress": {"egress": guard.egress, "tools": guard.tools},
    }
    return {name: digest_of_json(plain(part)) for name, part in parts.items()}
