"""`pilotage evidence fetch`: what a declared tool says now becomes evidence, as a file that somebody brings does.

Rule: only sources that `pilotage.yaml` declares are asked, only about projects of the release's workflow, once the
asker's right is known and outside of transactions; trust is that of who asked, and `evidence/bound.py` ties the answer
to the sealed commit. Fail mode: Unavailable when the tool does not answer whole, and nothing is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, assert_never

from pilotage.adapters.evidence_sources.github import GithubReviews
from pilotage.adapters.evidence_sources.rest import Service
from pilotage.adapters.evidence_sources.snyk import SnykIssues
from pilotage.adapters.evidence_sources.sonarqube import SonarQubeQuality
from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence, bringing_refused, not_yours
from pilotage.control.instance import Instance
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.evidence.records import Evidence
from pilotage.store.releases import StoredRelease, named_release
from pilotage.workspace.evidence_sources import EvidenceSource, SourceKind

_KIND: Final = {SourceKind.GITHUB: "review.code", SourceKind.SONARQUBE: "quality", SourceKind.SNYK: None}
"""What a tool's answer is evidence of; Snyk scans code, dependencies, images and infrastructure alike."""
_PULL: Final = re.compile(r"(?P<repository>[^#\s]+)#(?P<number>[1-9][0-9]{0,8})")
_PROJECT: Final = re.compile(r"(?P<project>[A-Za-z0-9_.:-]{1,400})(?:@(?P<branch>\S{1,250}))?")


def fetch_evidence(
    instance: Instance, *, bringer: Bringer, release: str, source: str, item: str, kind: str | None = None
) -> Evidence | Refusal:
    """Ask a source about an item and attach its answer; raise NotFound, UsageError or Unavailable.

    `item` is `owner/name#12` at GitHub, a project's key or `key@branch` at SonarQube, a project's id at Snyk.
    """
    refusal = bringing_refused(bringer.actor)
    if refusal is not None:
        return refusal
    declared = instance.workspace.evidence_sources.get(source)
    if declared is None:
        known = ", ".join(sorted(instance.workspace.evidence_sources)) or "none"
        hint = f"Declared under evidence: sources: in pilotage.yaml: {known}."
        raise NotFound("SOURCE_UNKNOWN", f"There is no evidence source {source[:80]!r}.", hint=hint)
    with instance.engine.connect() as connection:
        stored = named_release(connection, release)
    asked = _read_item(declared.kind, item)
    outside = _outside(declared, stored, asked.project)
    if outside is not None:
        return outside
    kind = kind or _KIND[declared.kind]
    reason = None if kind is None else not_yours(kind, bringer)
    if reason is not None:
        return Refusal(reasons=(reason,))
    data = _answer(instance, declared, asked)
    upload = Upload(name=f"{source}.json", data=data, kind=kind, fetched_from=f"{source}: {item}")
    done = attach_evidence(instance, bringer=bringer, release=release, uploads=[upload])
    return done if isinstance(done, Refusal) else done[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """What a source is asked about: a repository or project, and which pull request or branch of it."""

    project: str
    number: int = 0
    branch: str = ""


def _read_item(kind: SourceKind, item: str) -> _Item:
    match kind:
        case SourceKind.GITHUB:
            pull = _matched(_PULL, item, "pull request", "owner/name#12", code="SOURCE_PULL")
            return _Item(project=pull["repository"], number=int(pull["number"]))
        case SourceKind.SONARQUBE:
            named = _matched(_PROJECT, item, "project", "KEY or KEY@BRANCH", code="SOURCE_PROJECT")
            return _Item(project=named["project"], branch=named["branch"] or "")
        case SourceKind.SNYK:
            return _Item(project=item)
        case _:
            assert_never(kind)


def _matched(pattern: re.Pattern[str], item: str, what: str, form: str, *, code: str) -> re.Match[str]:
    found = pattern.fullmatch(item)
    if found is None:
        raise UsageError(code, f"{item[:100]!r} is no {what}.", hint=f"Write {form}.")
    return found


def _outside(source: EvidenceSource, stored: StoredRelease, project: str) -> Refusal | None:
    """Refuse a project that is not declared as this workflow's: another's result says nothing about its releases."""
    allowed = source.projects.get(stored.workflow, ())
    if project in allowed:
        return None
    known = ", ".join(allowed) or "none"
    text = (
        f"{project[:100]!r} may not be asked about for {stored.workflow}: {source.name} lists {known} for it. "
        "Add it under projects of that source in pilotage.yaml if it is this workflow's."
    )
    return Refusal(reasons=(Reason(code="SOURCE_NOT_ALLOWED", text=text, where=source.name, observed=project[:100]),))


def _answer(instance: Instance, source: EvidenceSource, asked: _Item) -> bytes:
    service = Service(url=source.url, token=source.token_ref, root=instance.root, allow_private=source.allow_private)
    match source.kind:
        case SourceKind.GITHUB:
            return GithubReviews(service).pull_request(asked.project, asked.number)
        case SourceKind.SONARQUBE:
            return SonarQubeQuality(service).quality(asked.project, branch=asked.branch)
        case SourceKind.SNYK:
            return SnykIssues(source.organisation, service).issues(asked.project)
        case _:
            assert_never(source.kind)
