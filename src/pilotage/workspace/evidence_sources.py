"""Where evidence is fetched from, as `evidence:` in `pilotage.yaml` declares it: tools the organisation trusts to ask.

Rule: an address is declared, never given with a request; a secret stands elsewhere. Fail mode: every mistake at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pilotage.core.fields import Fields, Reader, choice, list_of, map_of, matching, record
from pilotage.core.ids import SLUG, WorkflowName
from pilotage.core.located import Located, Problems
from pilotage.core.readers import NETWORKS, SECRET_REF
from pilotage.core.urls import URL


class SourceKind(StrEnum):
    """The tools that are read by their API."""

    GITHUB = "github"
    SONARQUBE = "sonarqube"
    SNYK = "snyk"


DEFAULT_URL: Final[Mapping[SourceKind, str]] = {
    SourceKind.GITHUB: "https://api.github.com",
    SourceKind.SNYK: "https://api.snyk.io",
}
"""Where a tool that its vendor runs answers; a SonarQube server is somebody's own."""
_ED25519_KEY = matching(re.compile("[A-Za-z0-9+/]{43}="), "an Ed25519 public key: 32 bytes in base64")
_UUID = matching(
    re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "the organisation's id, a UUID in lower case"
)

_PROJECT: Final[Mapping[SourceKind, Reader[str]]] = {
    SourceKind.GITHUB: matching(
        re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/(?!\.\.)[A-Za-z0-9._-]+"), "a repository: owner/name"
    ),
    SourceKind.SONARQUBE: matching(re.compile(r"[A-Za-z0-9_.:-]{1,400}"), "the key of a project"),
    SourceKind.SNYK: matching(re.compile(r"[0-9a-fA-F-]{36}"), "the id of a project, a UUID"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSource:
    """One tool. `token_ref` is `env:NAME` or `file:PATH`; `organisation` is Snyk's; `allow_private` are CIDR ranges.

    `projects` are, by workflow, the repositories or projects that may be asked about for its releases; no other may.
    """

    name: str
    kind: SourceKind
    url: str
    token_ref: str | None = None
    organisation: str = ""
    allow_private: tuple[str, ...] = ()
    projects: Mapping[WorkflowName, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSettings:
    """`trusted_keys` map a key id to an Ed25519 public key that may attest evidence; `sources` are by name."""

    trusted_keys: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, EvidenceSource] = field(default_factory=dict)


def parse_evidence(fields: Fields) -> EvidenceSettings:
    """Read `evidence:`; mistakes go to the problems of `fields`."""
    sources = fields.get(
        "sources", map_of(record(_source), key=SLUG, form="a name of lower-case letters, digits and hyphens"), {}
    )
    return EvidenceSettings(
        trusted_keys=fields.get("trusted_keys", map_of(_ED25519_KEY), {}),
        sources={name: replace(one, name=name) for name, one in sources.items()},
    )


def _source(fields: Fields) -> EvidenceSource:
    kind = fields.need("from", choice(SourceKind))
    url = fields.get("url", URL, DEFAULT_URL.get(kind, ""))
    organisation = fields.get("organisation", _UUID, "")
    if not url and not fields.has("url"):
        fields.problem("url", "'url' is missing", "Write where the server answers: https://sonarqube.bank.example.")
    if (kind is SourceKind.SNYK) != bool(organisation):
        what = "Snyk needs its organisation" if kind is SourceKind.SNYK else f"{kind.value} has no organisation"
        fields.problem("organisation", what, "Write the UUID of the Snyk organisation, for Snyk only.")
    return EvidenceSource(
        name="",
        kind=kind,
        url=url,
        token_ref=fields.get("token", SECRET_REF, None),
        organisation=organisation,
        allow_private=fields.get("allow_private", NETWORKS, ()),
        projects=fields.need("projects", _projects(kind)),
    )


def _projects(kind: SourceKind) -> Reader[Mapping[WorkflowName, tuple[str, ...]]]:
    """Return a reader of the projects of each workflow; each key is the name of one that is declared."""
    form = "the name of a workflow"
    each = map_of(list_of(_PROJECT[kind], or_one=True, at_least=1), key=SLUG, form=form)

    def read(at: Located, problems: Problems) -> Mapping[WorkflowName, tuple[str, ...]]:
        if isinstance(at.node, Mapping):
            for name, child in at.node.items():
                problems.refer("workflow", name, child)
        return {WorkflowName(name): listed for name, listed in each.read(at, problems).items()}

    return Reader(read=read, stand_in=dict)
