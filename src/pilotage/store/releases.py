"""Sealed releases: blobs, parts, authors, seals, states. Sealed rows are written once; only `state` ever moves.

Fail mode: bytes that do not match their digest raise IntegrityError on the way out, so nothing altered is served.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, Text, cast, func, select, true, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError, NotFound
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.release.authorship import Author, How
from pilotage.release.content import ReleaseContent, files_of, part_value, read_content
from pilotage.release.manifest import Manifest, PartKind, read_manifest
from pilotage.release.model import Prices
from pilotage.release.seal import ReleaseState
from pilotage.store.tables.releases import authorship, blob, part, release


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """One row of table release. `seal` is the canonical JSON that `signature` (base64) covers.

    `prices` are the model's when the release was last sealed; they are no part of it.
    """

    digest: Digest
    workflow: WorkflowName
    parent: Digest | None
    parts_digest: Digest
    manifest: bytes
    state: ReleaseState
    seal: bytes
    signature: str
    key_name: str
    note: str
    sealed_by: str
    sealed_at: datetime
    state_note: str | None = None
    prices: Prices | None = None


def put_blobs(connection: Connection, blobs: Mapping[str, bytes], *, media: str) -> None:
    """Store bytes once, by bare hex SHA-256."""
    rows = [{"sha256": name, "size": len(data), "media": media, "body": data} for name, data in blobs.items()]
    if rows:
        connection.execute(insert(blob).values(rows).on_conflict_do_nothing())


def get_blob(connection: Connection, sha256: str) -> bytes:
    """Return stored bytes; raise IntegrityError when they are gone or altered."""
    return get_blobs(connection, [sha256])[sha256]


def get_blobs(connection: Connection, names: Collection[str]) -> dict[str, bytes]:
    """Return the stored bytes of several files; raise IntegrityError when one is gone or altered."""
    query = select(blob.c.sha256, blob.c.body).where(blob.c.sha256.in_(list(names)))
    found = {row.sha256: bytes(row.body) for row in connection.execute(query)}
    for sha256 in names:
        if sha256 not in found:
            what = f"The file {sha256} is not in the store."
            raise IntegrityError("VERIFY_MISSING", what, hint="Restore a backup.")
        if digest_of(found[sha256]) != f"sha256:{sha256}":
            what = f"The file {sha256} was altered in the store."
            raise IntegrityError("VERIFY_BYTES", what, hint="Restore a backup.")
    return found


def put_parts(connection: Connection, parts: Mapping[PartKind, bytes]) -> None:
    """Store part bodies once, by digest."""
    rows = [{"digest": digest_of(body), "kind": str(kind), "body": body} for kind, body in parts.items()]
    connection.execute(insert(part).values(rows).on_conflict_do_nothing())


def add_authors(connection: Connection, part_digest: Digest, authors: Iterable[Author]) -> None:
    """Add authorship records to a part; none is ever removed."""
    rows = [
        {"part_digest": part_digest, "person": a.person, "how": str(a.how), "ref": a.ref, "at": a.at} for a in authors
    ]
    if rows:
        connection.execute(insert(authorship).values(rows).on_conflict_do_nothing())


def authors_of_parts(connection: Connection, parts: Iterable[Digest]) -> dict[Digest, tuple[Author, ...]]:
    """Return who made each part, in any release."""
    names = list(parts)
    found: dict[Digest, list[Author]] = {name: [] for name in names}
    query = select(authorship).where(authorship.c.part_digest.in_(names)).order_by(authorship.c.person)
    for row in connection.execute(query).mappings():
        author = Author(person=PersonId(row["person"]), how=How(row["how"]), ref=row["ref"], at=row["at"])
        found[Digest(row["part_digest"])].append(author)
    return {name: tuple(authors) for name, authors in found.items()}


def add_release(connection: Connection, stored: StoredRelease) -> None:
    """Insert a sealed release."""
    connection.execute(release.insert().values(release_row(stored)))


def release_row(stored: StoredRelease) -> dict[str, object]:
    """Return the values of a sealed release's row."""
    row = {name: getattr(stored, name) for name in StoredRelease.__dataclass_fields__}
    return row | {"state": str(stored.state), "prices": None if stored.prices is None else stored.prices.as_row()}


def keep_prices(connection: Connection, digest: Digest, prices: Prices | None) -> None:
    """Note what a release's model costs by now: its workflow is sealed again, and only the price is another."""
    said = None if prices is None else prices.as_row()
    connection.execute(update(release).where(release.c.digest == digest).values(prices=said))


def find_release(connection: Connection, digest: Digest, *, lock: bool = False) -> StoredRelease | None:
    """Return a release, locked for a change of state when asked."""
    query = select(release).where(release.c.digest == digest)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else _stored(row)


def named_release(connection: Connection, text: str) -> StoredRelease:
    """Return the release that a full digest or a unique prefix of >= 8 hex digits names; raise NotFound."""
    return named_releases(connection, [text])[0]


def named_releases(connection: Connection, texts: Sequence[str]) -> tuple[StoredRelease, ...]:
    """Return the releases that these name, in their order, in one read; raise NotFound for the first that is none."""
    prefixes = [text if text.startswith("sha256:") else f"sha256:{text}" for text in texts]
    for text, prefix in zip(texts, prefixes, strict=True):
        if len(prefix) < len("sha256:") + 8 or "%" in prefix or "_" in prefix:
            raise NotFound("RELEASE_UNKNOWN", f"{text!r} names no release.", hint=_LIST)
    some = [select(release).where(release.c.digest.startswith(prefix)).limit(2).subquery() for prefix in prefixes]
    rows = connection.execute(union_all(*(select(one) for one in some))).mappings().all()
    found: list[StoredRelease] = []
    for text, prefix in zip(texts, prefixes, strict=True):
        named = list({row["digest"]: row for row in rows if row["digest"].startswith(prefix)}.values())
        if len(named) != 1:
            what = "several releases" if named else "no release"
            raise NotFound("RELEASE_UNKNOWN", f"{text!r} names {what}.", hint=_LIST)
        found.append(_stored(named[0]))
    return tuple(found)


_LIST = "See `pilotage release list`; write the digest or at least 8 of its hex digits."


def releases_of(connection: Connection, workflow: WorkflowName | None = None) -> tuple[StoredRelease, ...]:
    """Return the releases of a workflow, or all, newest first."""
    query = select(release).order_by(release.c.sealed_at.desc(), release.c.digest)
    if workflow is not None:
        query = query.where(release.c.workflow == workflow)
    return tuple(_stored(row) for row in connection.execute(query).mappings())


def releases_named(connection: Connection, digests: Collection[Digest]) -> dict[Digest, StoredRelease]:
    """Return releases by digest; those that are not there are left out."""
    query = select(release).where(release.c.digest.in_(list(digests)))
    return {Digest(row["digest"]): _stored(row) for row in connection.execute(query).mappings()}


def head_of(connection: Connection, workflow: WorkflowName) -> StoredRelease | None:
    """Return the newest release of a workflow that is not revoked: nothing follows a revoked one."""
    query = select(release).where(release.c.workflow == workflow, release.c.state != str(ReleaseState.REVOKED))
    row = connection.execute(query.order_by(release.c.sealed_at.desc()).limit(1)).mappings().first()
    return None if row is None else _stored(row)


def heads_of(connection: Connection, workflows: Collection[WorkflowName]) -> tuple[StoredRelease, ...]:
    """Return the newest release of each workflow that is not revoked, by workflow."""
    return _newest(connection, workflows, release.c.state != str(ReleaseState.REVOKED))


def newest_of(connection: Connection, workflows: Collection[WorkflowName]) -> dict[WorkflowName, StoredRelease]:
    """Return the newest release of each workflow, whatever its state."""
    return {one.workflow: one for one in _newest(connection, workflows, true())}


def _newest(
    connection: Connection, workflows: Collection[WorkflowName], which: ColumnElement[bool]
) -> tuple[StoredRelease, ...]:
    """Look up the newest of each by the index, instead of sorting every release there is."""
    asked = func.unnest(cast(list(workflows), ARRAY(Text))).table_valued("name").render_derived("asked")
    own = select(release).where(release.c.workflow == asked.c.name, which)
    newest = own.order_by(release.c.sealed_at.desc(), release.c.digest).limit(1).lateral("newest")
    query = select(newest).select_from(asked.join(newest, true())).order_by(newest.c.workflow)
    return tuple(_stored(row) for row in connection.execute(query).mappings())


def releases_by_digest(connection: Connection, digests: Collection[str]) -> tuple[StoredRelease, ...]:
    """Return these releases, by digest; one that is not there is left out."""
    query = select(release).where(release.c.digest.in_(list(digests))).order_by(release.c.digest)
    return tuple(_stored(row) for row in connection.execute(query).mappings()) if digests else ()


def counts_of(connection: Connection) -> dict[WorkflowName, int]:
    """Return how many releases each workflow has."""
    query = select(release.c.workflow, func.count()).group_by(release.c.workflow)
    return {WorkflowName(name): number for name, number in connection.execute(query)}


def withdrawn_as(connection: Connection, parts_digest: Digest) -> ReleaseState | None:
    """Return REVOKED or QUARANTINED when any release of the same content is, the final one first."""
    query = select(release.c.state).where(
        release.c.parts_digest == parts_digest, release.c.state.in_([ReleaseState.REVOKED, ReleaseState.QUARANTINED])
    )
    found = connection.scalar(query.order_by(release.c.state.desc()).limit(1))
    return None if found is None else ReleaseState(found)


def same_content(connection: Connection, parts_digest: Digest) -> tuple[StoredRelease, ...]:
    """Return every release that holds this content, locked for a change of state, oldest first."""
    query = (
        select(release).where(release.c.parts_digest == parts_digest).order_by(release.c.sealed_at, release.c.digest)
    )
    return tuple(_stored(row) for row in connection.execute(query.with_for_update()).mappings())


def named_with_same_content(connection: Connection, name: str) -> tuple[StoredRelease, tuple[StoredRelease, ...]]:
    """Return a named release and every one of its content, itself included, all locked in their one order.

    Who changes the state of one and then of the others starts here: a lock on the named one first would wait in a ring.
    """
    named = named_release(connection, name)
    same = same_content(connection, named.parts_digest)
    return next((one for one in same if one.digest == named.digest), named), same


def prompt_parts(connection: Connection) -> Iterator[tuple[Digest, str]]:
    """Yield every prompt a release was ever sealed with, once, by the digest of its part."""
    query = select(part.c.digest, part.c.body).where(part.c.kind == str(PartKind.PROMPT)).order_by(part.c.digest)
    for row in connection.execute(query).all():
        digest = Digest(row.digest)
        (file,) = files_of(part_value(bytes(row.body), digest=digest, kind=PartKind.PROMPT))
        yield digest, get_blob(connection, file.sha256).decode()


def set_state(connection: Connection, digest: Digest, state: ReleaseState, *, note: str) -> None:
    """Move a release to another state."""
    connection.execute(update(release).where(release.c.digest == digest).values(state=str(state), state_note=note))


def sealed_with_prompt(connection: Connection, prompts: Collection[Digest]) -> tuple[StoredRelease, ...]:
    """Return the releases that hold one of these prompt parts and may still serve, locked, oldest first."""
    if not prompts:
        return ()
    still = [ReleaseState.SEALED, ReleaseState.DEPRECATED]
    query = select(release).where(release.c.state.in_(still)).order_by(release.c.sealed_at, release.c.digest)
    found = (_stored(row) for row in connection.execute(query.with_for_update()).mappings())
    return tuple(
        one for one in found if read_manifest(one.manifest, digest=one.digest).parts[PartKind.PROMPT] in prompts
    )


def part_bodies(connection: Connection, manifest: Manifest) -> dict[PartKind, bytes]:
    """Return the stored bytes of all parts; raise IntegrityError when one is gone."""
    return bodies_of(connection, [manifest])[manifest.digest]


def bodies_of(connection: Connection, manifests: Collection[Manifest]) -> dict[Digest, dict[PartKind, bytes]]:
    """Return the stored bytes of all parts of several releases; raise IntegrityError when one is gone."""
    names = {name for manifest in manifests for name in manifest.parts.values()}
    query = select(part.c.digest, part.c.body).where(part.c.digest.in_(list(names)))
    found = {Digest(row.digest): bytes(row.body) for row in connection.execute(query)}
    for manifest in manifests:
        missing = [kind for kind in PartKind if manifest.parts[kind] not in found]
        if missing:
            what = f"Part {missing[0]} of {manifest.digest} is not in the store."
            raise IntegrityError("VERIFY_MISSING", what, hint="Restore a backup.")
    return {one.digest: {kind: found[one.parts[kind]] for kind in PartKind} for one in manifests}


def load_release(connection: Connection, digest: Digest) -> ReleaseContent:
    """Return the verified, typed content of a release; raise NotFound or IntegrityError."""
    stored = find_release(connection, digest)
    if stored is None:
        raise NotFound("RELEASE_UNKNOWN", f"There is no release {digest}.", hint=_LIST)
    manifest = read_manifest(stored.manifest, digest=digest)
    bodies = part_bodies(connection, manifest)
    prompt = part_value(bodies[PartKind.PROMPT], digest=manifest.parts[PartKind.PROMPT], kind=PartKind.PROMPT)
    (file,) = files_of(prompt)
    content = read_content(manifest, bodies=bodies, prompt=get_blob(connection, file.sha256))
    return replace(content, prices=stored.prices)


def _stored(row: RowMapping) -> StoredRelease:
    return StoredRelease(
        digest=Digest(row["digest"]),
        workflow=WorkflowName(row["workflow"]),
        parent=None if row["parent"] is None else Digest(row["parent"]),
        parts_digest=Digest(row["parts_digest"]),
        manifest=bytes(row["manifest"]),
        state=ReleaseState(row["state"]),
        seal=bytes(row["seal"]),
        signature=row["signature"],
        key_name=row["key_name"],
        note=row["note"],
        sealed_by=row["sealed_by"],
        sealed_at=row["sealed_at"],
        state_note=row["state_note"],
        prices=None if row["prices"] is None else Prices(**row["prices"]),
    )
