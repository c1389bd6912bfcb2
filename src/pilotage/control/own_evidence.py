"""`pilotage evidence own`, and what sealing attaches by itself: lineage, classification, and the scan for secrets.

Rule: computed from the pinned corpora and the sealed bytes, attested by the instance. Fail mode: a document without
label, owner or lineage is counted, never left out; where nobody looked for personal data, none is claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, text

from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of
from pilotage.core.reason import Refusal
from pilotage.corpus.settings import CorpusSettings
from pilotage.evidence.own_secrets import search_parts, secrets_reading
from pilotage.evidence.records import Evidence
from pilotage.guard.policy import GuardPolicy
from pilotage.guard.redact import USUAL, rules_of_line
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.release.content import CorpusPin, ReleaseContent, files_of, part_value
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.corpora import StoredVersion, version_of
from pilotage.store.releases import StoredRelease, get_blob, load_release, named_release, part_bodies

_DOCUMENTS = text(
    "SELECT d.classification, r.lineage, r.rev FROM revision r"
    " JOIN document d ON d.corpus = r.corpus AND d.id = r.document"
    " WHERE r.corpus = :corpus AND d.tombstone IS NULL"
)


def attach_own(instance: Instance, *, actor: Principal, release: str) -> tuple[Evidence, ...] | Refusal:
    """Compute our own reports on a sealed release again and attach them."""
    refusal = may(actor.roles, Action.ATTACH_CLAIMED)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        return attach_reports(connection, instance, named_release(connection, release))


def attach_reports(connection: Connection, instance: Instance, stored: StoredRelease) -> tuple[Evidence, ...]:
    """Attach lineage, classification and the secrets scan in the caller's transaction."""
    content = load_release(connection, stored.digest)
    counts = _corpus_counts(connection, instance, content)
    now = instance.clock.now()
    runs = [
        _run(kind, counts, now_text=to_text(now), instance=instance, stored=stored)
        for kind in ("lineage", "classification")
    ]
    runs.append(_secrets(connection, instance, stored))
    return tuple(attach_own_run(connection, instance, release=stored.digest, run=run) for run in runs)


def _corpus_counts(connection: Connection, instance: Instance, content: ReleaseContent) -> dict[str, float]:
    total: Counter[str] = Counter({"documents": 0, "unlabelled": 0, "without_owner": 0, "without_lineage": 0})
    unhandled: list[int | None] = []
    for pin in content.corpora.values():
        version = version_of(connection, pin.name, pin.version)
        settings = instance.workspace.corpora.get(pin.name)
        total.update(_count(connection, pin, version, settings))
        unhandled.append(_unhandled(version, settings, content.guard))
    known = [one for one in unhandled if one is not None]
    claims = {name: float(value) for name, value in total.items()}
    return {**claims, "pii_unhandled": float(sum(known))} if len(known) == len(unhandled) else claims


def _count(
    connection: Connection, pin: CorpusPin, version: StoredVersion | None, settings: CorpusSettings | None
) -> dict[str, int]:
    held = None if version is None else version.revisions
    found = Counter[str]()
    for row in connection.execute(_DOCUMENTS, {"corpus": pin.name}).mappings():
        if held is not None and row["rev"] not in held:
            continue
        found["documents"] += 1
        found["unlabelled"] += not row["classification"]
        found["without_owner"] += settings is None or not settings.owner
        found["without_lineage"] += not row["lineage"]
    return dict(found)


def _unhandled(version: StoredVersion | None, settings: CorpusSettings | None, guard: GuardPolicy) -> int | None:
    """Return the values of persons that the refresh found and nothing replaces; None where nobody looked.

    A derived copy is redacted as it is made; elsewhere the sealed guard replaces every type that it does not allow and
    whose every score reaches its threshold.
    """
    if settings is not None and settings.derived_from is not None:
        return 0
    quality = None if version is None else version.summary.get("quality")
    found = quality.get("pii") if isinstance(quality, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    rules = [rules_of_line(check) for check in guard.checks if check.id in {"pii_in", "pii_out"}] or [USUAL]
    counted = {kind: count for kind, count in found.items() if isinstance(count, int)}

    def is_replaced(kind: str) -> bool:
        return settings is not None and all(one.replaces_all(kind, found_at=USUAL.threshold) for one in rules)

    return sum(count for kind, count in counted.items() if not is_replaced(kind))


def _run(kind: str, counts: Mapping[str, float], *, now_text: str, instance: Instance, stored: StoredRelease) -> OwnRun:
    body: Json = {
        "report": kind,
        "release": stored.digest,
        "at": now_text,
        "claims": {name: int(value) for name, value in sorted(counts.items())},
    }
    summary = (
        f"{int(counts['documents'])} documents; {int(counts['without_lineage'])} without lineage, "
        f"{int(counts['unlabelled'])} without a label, {int(counts['without_owner'])} without an owner, "
        f"{_values(counts.get('pii_unhandled'))} that nothing replaces."
    )
    return OwnRun(
        kind=kind,
        claims=dict(counts),
        body=canonical_bytes(body),
        produced_at=instance.clock.now(),
        summary=summary,
    )


def _values(count: float | None) -> str:
    return "an unknown number of personal values" if count is None else f"{int(count)} personal values"


def _secrets(connection: Connection, instance: Instance, stored: StoredRelease) -> OwnRun:
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    now = instance.clock.now()
    parts = {str(kind): _files(connection, kind, body) for kind, body in part_bodies(connection, manifest).items()}
    report = search_parts(parts, release=stored.digest, at=now)
    read = secrets_reading(report)
    return OwnRun(
        kind=read.kind,
        claims=dict(read.claims),
        body=canonical_bytes(report),
        produced_at=now,
        summary=read.summary,
        findings=read.findings,
        suite="sealed-parts",
    )


def _files(connection: Connection, kind: PartKind, body: bytes) -> dict[str, bytes]:
    """Return what a part holds: its files by path, and its own canonical form."""
    value = part_value(body, digest=digest_of(body), kind=kind)
    listed = files_of(value) if kind in {PartKind.PROMPT, PartKind.GOLDEN} else ()
    return {"part.json": body, **{one.path: get_blob(connection, one.sha256) for one in listed}}
