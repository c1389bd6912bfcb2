"""`pilotage corpus refresh`: list the source, stage what it holds, publish it as one proposed version.

One refresh of a corpus runs at a time. Items are taken one by one: a bad one is rejected and listed; a listing that
fails stops the run before anything is published. What the specification calls the state `building` is staged rows that
no version names: killed at any point, a refresh leaves nothing visible, and the next one clears the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pyroaring import BitMap
from sqlalchemy import Connection

from pilotage.adapters.parsing.pool import ParserPool
from pilotage.control.accept_version import accept_in, frozen_by
from pilotage.control.corpus_duties import NOT_PERMITTED, may_accept, may_refresh, settings_of
from pilotage.control.corpus_entries import deed_of, person_of, record_corpus
from pilotage.control.corpus_source import open_source
from pilotage.control.instance import Instance
from pilotage.control.refresh_drafts import Drafted, DraftMaker
from pilotage.control.refresh_permissions import narrow_derived
from pilotage.control.refresh_publish import Findings, Published, Publisher
from pilotage.control.refresh_staging import Stager
from pilotage.control.refresh_tools import RefreshTools
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.cadence import CadenceProblem, parse_cadence, period
from pilotage.corpus.connector import Connector
from pilotage.corpus.dates import overlap
from pilotage.corpus.quality import FindingKind, QualityCollector, Seen, stale_limit
from pilotage.corpus.records import Rejected, SourceItem
from pilotage.corpus.settings import CorpusSettings, Review
from pilotage.corpus.version import BLOCK_LIST_KEY, VersionState, revision_hmac
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store.corpora import StoredVersion, ensure_corpus, lock_corpus, newest_version, referenced_revisions
from pilotage.store.corpus_documents import Blocked, blocked, remove_revisions, unreferenced_revisions
from pilotage.store.corpus_lock import refresh_lock, require_lock

_BATCH_ITEMS = 256
_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshResult:
    """What `corpus refresh` answers. `state` is `unchanged` when no version was made; counts are of documents.

    `not_accepted` says why `--accept` did not accept; `needs_permission` when that is about the person (exit 3).
    """

    corpus: CorpusName
    version: int | None
    state: str
    added: int
    changed: int
    removed: int
    metadata: int
    unchanged: int
    chunks: int
    rejected: tuple[Rejected, ...]
    findings: dict[str, int] = field(default_factory=dict)
    needs_review: tuple[Reason, ...] = ()
    not_accepted: Refusal | None = None

    @property
    def needs_permission(self) -> bool:
        """True when acceptance failed for who asked, not for what the version holds."""
        return self.not_accepted is not None and any(r.code in NOT_PERMITTED for r in self.not_accepted.reasons)

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        record: dict[str, Json] = {
            "corpus": self.corpus,
            "version": self.version,
            "state": self.state,
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "metadata": self.metadata,
            "unchanged": self.unchanged,
            "chunks": self.chunks,
            "rejected": [one.as_json() for one in self.rejected],
            "findings": dict(self.findings),
            "needs_review": [reason.as_json() for reason in self.needs_review],
        }
        if self.not_accepted is not None:
            record["not_accepted"] = [reason.as_json() for reason in self.not_accepted.reasons]
        return record


def refresh_corpus(
    instance: Instance,
    *,
    actor: Principal | None,
    corpus: CorpusName,
    source: Path | None = None,
    accept: bool = False,
    tools: RefreshTools | None = None,
) -> RefreshResult | Refusal:
    """Refresh a corpus. `actor` None is the schedule. `source` (`--from`) is the whole listing of this run.

    Raises NotFound, Conflict while another refresh runs, Unavailable when the source cannot be listed.
    """
    settings = settings_of(instance, corpus)
    refusal = may_refresh(settings, actor)
    if refusal is not None:
        return refusal
    given = tools or RefreshTools()
    connector = given.connector or open_source(instance, settings, source, redact=given.redact, inspect=given.inspect)
    now = instance.clock.now()
    with refresh_lock(instance.engine, corpus, run=new_ulid(now)) as session:
        run = _Run(instance, settings, actor, given, now=now)
        run.clear()
        with ParserPool() as pool:
            run.ingest(connector, DraftMaker(settings, connector, pool, now=now))
        return run.publish(session, accept=accept)


class _Run:
    """One refresh under its lock."""

    def __init__(
        self,
        instance: Instance,
        settings: CorpusSettings,
        actor: Principal | None,
        tools: RefreshTools,
        *,
        now: datetime,
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._actor = actor
        self._tools = tools
        self._now = now
        self._zone = ZoneInfo(instance.workspace.timezone)
        self._rejected: list[Rejected] = []
        self._seen: dict[str, list[tuple[date | None, date | None]]] = {}
        self._quality = QualityCollector(inspect=tools.inspect, stale_before=_stale_before(settings, now, self._zone))
        self._block_key = instance.keyring.derive(BLOCK_LIST_KEY)
        self._blocked: Blocked = (frozenset(), frozenset())
        self._stager = Stager(instance.engine, settings, parent=BitMap(), now=now, new_salt=tools.new_salt)

    def clear(self) -> None:
        """Make the corpus if it is new, and remove what a killed refresh left."""
        name = self._settings.name
        with self._instance.engine.begin() as connection:
            if ensure_corpus(connection, name):
                deed = deed_of(connection, self._actor, at=self._now)
                data: dict[str, Json] = {"data_stage": self._settings.data_stage.value}
                record_corpus(connection, EntryKind.CORPUS_CREATED, deed, subject=name, data=data)
            lock_corpus(connection, name)  # a refresh that lost its lock may be publishing: what it publishes stays
            left = unreferenced_revisions(connection, name, referenced_revisions(connection, name))
            remove_revisions(connection, name, left)
            parent = newest_version(connection, name, VersionState.ACCEPTED)
            self._blocked = blocked(connection, name)
        self._stager = Stager(
            self._instance.engine,
            self._settings,
            parent=BitMap() if parent is None else parent.revisions,
            now=self._now,
            new_salt=self._tools.new_salt,
        )

    def ingest(self, connector: Connector, maker: DraftMaker) -> None:
        """Take every item of the listing, batch by batch."""
        done = 0
        for items, rejected in _batches(connector.list()):
            for one in rejected:
                self._reject(one)
            drafted = [one for one in map(self._admit, maker.draft_all(items)) if one is not None]
            if drafted:
                self._stage(drafted)
            done += len(items) + len(rejected)
            self._tools.progress(done, None)
        self._tools.progress(done, done)

    def publish(self, session: Connection, *, accept: bool) -> RefreshResult:
        """Publish what was staged, and accept it where that was asked for and may be.

        `session` holds the lock of this refresh: without it the rows may be another's by now.
        """
        findings = Findings(
            report=self._quality.report(),
            rejected=tuple(self._rejected),
            created_by=person_of(self._actor),
        )
        with self._instance.engine.begin() as connection:
            deed = deed_of(connection, self._actor, at=self._now)
            publisher = Publisher(connection, self._settings, self._stager, deed)
            published = publisher.publish(findings, new_salt=self._tools.new_salt, blocks=self._is_blocked)
            corpora = self._instance.workspace.corpora
            narrow_derived(connection, corpora, self._settings.name, published.diff.acl, deed)
            require_lock(session, self._settings.name)
            version, refusal = published.version, None
            if accept and version is not None and version.state is VersionState.PROPOSED:
                refusal = self._why_not(published) or frozen_by(connection, self._instance, self._settings.name)
                if refusal is None:
                    day = self._now.astimezone(self._zone).date()
                    person = person_of(self._actor)
                    decided = accept_in(connection, version, deed, person=person, day=day, note="accepted on refresh")
                    if isinstance(decided, StoredVersion):
                        version = decided
                    else:
                        refusal = decided
        return _result(self._settings.name, published, version, findings, refusal)

    def _why_not(self, published: Published) -> Refusal | None:
        if self._settings.review is not Review.SINGLE:
            text = f"{self._settings.name} is reviewed by two people; the version stays proposed."
            return Refusal(reasons=(Reason(code="SECOND_PERSON_NEEDED", text=text),))
        if self._actor is None or self._actor.person != self._settings.steward:
            text = f"Only the steward {self._settings.steward} may accept while refreshing; the version stays proposed."
            return Refusal(reasons=(Reason(code="NOT_STEWARD", text=text),))
        version = published.version
        refusal = None if version is None else may_accept(self._settings, self._actor, triggered_by=version.created_by)
        if refusal is not None:
            return refusal
        reasons = (*published.review, *published.blocking)
        return Refusal(reasons=reasons) if reasons else None

    def _admit(self, one: Drafted | Rejected) -> Drafted | None:
        if isinstance(one, Rejected):
            self._reject(one)
            return None
        draft = one.draft
        if self._is_blocked(draft.id, draft.revision_hash, self._blocked):
            self._reject(Rejected(id=draft.id, reason="taken_down"))
            return None
        span = (draft.effective_from, draft.effective_to)
        earlier = self._seen.setdefault(draft.id, [])
        if any(overlap(span, other) for other in earlier):
            why = "duplicate id: another item of this id is in force on the same days"
            self._reject(Rejected(id=draft.id, reason=why, acl=draft.acl, acl_source=draft.acl_source))
            return None
        earlier.append(span)
        return one

    def _is_blocked(self, document: str, revision: Digest, blocked: Blocked) -> bool:
        documents, hashes = blocked
        return document in documents or (bool(hashes) and revision_hmac(self._block_key, revision) in hashes)

    def _stage(self, drafted: Sequence[Drafted]) -> None:
        for one, staged in zip(drafted, self._stager.stage([one.draft for one in drafted]), strict=True):
            self._quality.add(
                Seen(
                    draft=one.draft,
                    text=one.parsed.text,
                    before_chars=staged.before_chars,
                    needs_ocr=one.parsed.needs_ocr,
                    failed_pages=one.parsed.failed_pages,
                    hidden_elements=one.parsed.hidden_elements,
                )
            )
            if staged.conflicts:
                self._quality.find(FindingKind.CONFLICTING_EFFECTIVE_DATES, one.draft.id)

    def _reject(self, one: Rejected) -> None:
        self._rejected.append(one)
        self._stager.refuse(one)
        self._quality.reject(one)


def _batches(listing: Iterator[SourceItem | Rejected]) -> Iterator[tuple[list[SourceItem], list[Rejected]]]:
    items: list[SourceItem] = []
    rejected: list[Rejected] = []
    size = 0
    for one in listing:
        if isinstance(one, Rejected):
            rejected.append(one)
            continue
        items.append(one)
        size += one.size
        if len(items) >= _BATCH_ITEMS or size >= _BATCH_BYTES:
            yield items, rejected
            items, rejected, size = [], [], 0
    if items or rejected:
        yield items, rejected


def _stale_before(settings: CorpusSettings, now: datetime, zone: ZoneInfo) -> datetime | None:
    if settings.cadence is None:
        return None
    try:
        return stale_limit(now, period(parse_cadence(settings.cadence), zone=zone, near=now))
    except (CadenceProblem, OverflowError):  # a cadence of centuries: nothing is that old
        return None


def _result(
    corpus: CorpusName,
    published: Published,
    version: StoredVersion | None,
    findings: Findings,
    refusal: Refusal | None,
) -> RefreshResult:
    fresh = published.is_new or (version is not None and version is not published.version)
    diff = published.diff
    moved = tuple(map(len, (diff.added, diff.changed, diff.removed, diff.metadata)))
    # What is proposed already differs from the accepted version, and not from what is read now.
    added, changed, removed, metadata = moved if fresh else (0, 0, 0, 0)
    return RefreshResult(
        corpus=corpus,
        version=None if version is None else version.number,
        state=version.state.value if fresh and version is not None else "unchanged",
        added=added,
        changed=changed,
        removed=removed,
        metadata=metadata,
        unchanged=published.unchanged + moved[0] + moved[1] + moved[3] - added - changed - metadata,
        chunks=published.chunks,
        rejected=findings.rejected,
        findings={kind.value: count for kind, count in findings.report.findings.items()},
        needs_review=published.review,
        not_accepted=refusal,
    )
