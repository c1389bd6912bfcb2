"""What is stored about the gates of some releases: two and twenty tables in one statement, so on one snapshot.

Rule: set-wise over releases, the number of statements does not grow with them; nothing is judged here. What rests on
the traffic stands in `store/gate_traffic.py`. Fail mode: what cannot be read raises, and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName
from pilotage.evaluation.mitigation import Mitigation
from pilotage.evidence.records import Evidence, SubjectKind
from pilotage.gate.emergency import Emergency
from pilotage.gate.records import Delegation, RiskAcceptance, Tenure, Vote
from pilotage.gate.standard import StandardChange, StandardTemplate
from pilotage.identity.roles import Role
from pilotage.incident.records import UNRESOLVED, Severity
from pilotage.release.authorship import Author, How
from pilotage.release.seal import ReleaseState
from pilotage.rollout.plan_form import read_plan
from pilotage.rollout.target import Served
from pilotage.store.drift import UNKNOWN_AFTER, StoredDrift, drift_from
from pilotage.store.emergencies import emergency_from
from pilotage.store.evidence import evidence_of_bytes
from pilotage.store.gate_facts import Engine, engine_from
from pilotage.store.gate_people import acceptance_from, delegation_from, editors_from, tenures_from
from pilotage.store.gate_votes import Attempt, attempt_from, vote_from
from pilotage.store.incidents import StoredIncident, incident_from
from pilotage.store.ledger_said import Said, said_from
from pilotage.store.lineage import BEFORE, Earlier, earlier_from
from pilotage.store.mitigations import WITH_END, mitigation_from
from pilotage.store.releases import StoredRelease
from pilotage.store.routes import Ack, Route, ack_from, route_from
from pilotage.store.standards import change_from, templates_from
from pilotage.store.tables.evaluation import mitigation
from pilotage.store.tables.gates import (
    emergency_change,
    gate_attempt,
    gate_delegation,
    gate_vote,
    risk_acceptance,
    roster_version,
    standard_change,
    standard_template,
    standard_vote,
)
from pilotage.store.tables.rollouts import incident
from pilotage.store.tables.spaces import drift
from pilotage.store.together import Rows, StoredRow, Together
from pilotage.workspace.plan import Plan

T = TypeVar("T")
_OVERDUE: Final = timedelta(days=1)

_SNAPSHOT = text(
    """
SELECT CAST(json_build_object(
  'authors', (SELECT json_agg(a ORDER BY a.person) FROM authorship a WHERE a.part_digest = ANY(:parts)),
  'evidence', (SELECT json_agg(e ORDER BY e.received_at, e.id)
    FROM unnest(CAST(:kinds AS text[]), CAST(:subjects AS text[])) AS asked (kind, name)
      CROSS JOIN LATERAL
        (SELECT * FROM evidence x WHERE x.subject = asked.name AND x.subject_kind = asked.kind OFFSET 0) AS e),
  'votes', (SELECT json_agg(v ORDER BY v.at, v.id) FROM gate_vote v WHERE v.release = ANY(:releases)),
  'rejections', (SELECT json_agg(v ORDER BY v.at, v.id) FROM gate_vote v
    WHERE v.parts_digest = ANY(:contents) AND v.decision = 'reject'),
  'acceptances', (SELECT json_agg(r ORDER BY r.created, r.id) FROM risk_acceptance r WHERE r.release = ANY(:releases)),
  'attempts', (SELECT json_agg(a ORDER BY a.attempt) FROM gate_attempt a WHERE a.release = ANY(:releases)),
  'recusals', (SELECT json_agg(r) FROM gate_recusal r WHERE r.release = ANY(:releases)),
  'packs', (SELECT json_agg(json_build_object('digest', p.digest, 'core', p.core, 'missing', p.missing)) FROM (
    SELECT c.digest, f.body -> 'core' AS core, f.body -> 'sections_missing' AS missing
    FROM cab_pack c, LATERAL (SELECT CAST(convert_from(c.facts, 'UTF8') AS json) AS body) f
    WHERE c.digest IN (SELECT a.pack FROM gate_attempt a WHERE a.release = ANY(:releases))) p),
  'rosters', (SELECT json_agg(v ORDER BY v.seen_at) FROM roster_version v),
  'policies', (SELECT json_agg(json_build_object('digest', v.digest, 'seen_by', v.seen_by, 'seen_at', v.seen_at)
    ORDER BY v.seen_at) FROM policy_version v),
  'delegations', (SELECT json_agg(d ORDER BY d.made_at, d.id) FROM gate_delegation d),
  'served', (SELECT json_agg(s ORDER BY s.at DESC, s.id DESC) FROM (
    SELECT DISTINCT ON (d.workflow, d.space, d.release) d.workflow, d.space, d.release, d.at, d.id, r.state
    FROM deployment d JOIN release r ON r.digest = d.release
    WHERE d.workflow = ANY(:workflows) AND d.state IN ('active', 'superseded', 'retired')
    ORDER BY d.workflow, d.space, d.release, d.at DESC, d.id DESC) s),
  'promoters', (SELECT json_agg(p) FROM (SELECT DISTINCT d.release, d.promoted_by FROM deployment d
    WHERE d.release = ANY(:releases) AND d.space = ANY(:spaces) AND d.basis <> 'rollback') p),
  'routes', (SELECT json_agg(r) FROM routing r WHERE r.workflow = ANY(:workflows)),
  'runs', (SELECT json_agg(json_build_object('release', r.release, 'since', r.created_at, 'plan', r.plan)
    ORDER BY r.created_at) FROM rollout r WHERE r.release = ANY(:releases) AND r.ended_at IS NULL
    AND r.state NOT IN ('rolling_back', 'validating', 'rollback_failed')),
  'acks', (SELECT json_agg(a ORDER BY a.process) FROM (
    SELECT process, space, workflow, generation, loaded,
      CAST(extract(epoch FROM clock_timestamp() - at) AS float8) AS age_s
    FROM route_ack WHERE workflow = ANY(:workflows)) a),
  'emergencies', (SELECT json_agg(e ORDER BY e.opened_at, e.id) FROM emergency_change e
    WHERE e.release = ANY(:releases)),
  'standards', (SELECT json_agg(c ORDER BY c.declared_at DESC, c.id DESC) FROM standard_change c
    WHERE c.release = ANY(:releases)),
  'templates', (SELECT json_agg(t ORDER BY t.proposed_at, t.id) FROM standard_template t
    WHERE t.id IN (SELECT c.template FROM standard_change c WHERE c.release = ANY(:releases))),
  'template_votes', (SELECT json_agg(v ORDER BY v.at, v.id) FROM standard_vote v
    WHERE v.template IN (SELECT c.template FROM standard_change c WHERE c.release = ANY(:releases))),
  'mitigations', (SELECT json_agg(m ORDER BY m.opened_at, m.id)
    FROM (@mitigations@ WHERE m.workflow = ANY(:workflows)) m),
  'said', CASE WHEN :compared THEN (SELECT json_agg(json_build_object('kind', e.kind, 'subject', e.subject,
      'body', CAST(convert_from(e.bytes, 'UTF8') AS json),
      'opened', (SELECT json_object_agg(d.field, d.value) FROM ledger_disclosure d WHERE d.entry = e.id))
      ORDER BY e.seq NULLS LAST, e.inserted_at, e.id)
    FROM ledger_entry e WHERE e.subject = ANY(ARRAY(
      SELECT v.id FROM gate_vote v WHERE v.release = ANY(:releases)
      UNION ALL SELECT r.id FROM risk_acceptance r WHERE r.release = ANY(:releases)
      UNION ALL SELECT x.id FROM unnest(CAST(:kinds AS text[]), CAST(:subjects AS text[])) AS asked (kind, name)
        CROSS JOIN LATERAL (SELECT id FROM evidence WHERE subject = asked.name AND subject_kind = asked.kind OFFSET 0) x
      UNION ALL SELECT c.id FROM standard_change c WHERE c.release = ANY(:releases)
      UNION ALL SELECT c.template FROM standard_change c WHERE c.release = ANY(:releases)
      UNION ALL SELECT v.id FROM standard_vote v
        WHERE v.template IN (SELECT c.template FROM standard_change c WHERE c.release = ANY(:releases))
      UNION ALL SELECT m.id FROM mitigation m WHERE m.workflow = ANY(:workflows)
      UNION ALL SELECT unnest(CAST(:releases AS text[]))))) END,
  'incidents', (SELECT json_agg(i ORDER BY i.detected_at DESC, i.id DESC) FROM incident i
    WHERE (i.workflow = ANY(:workflows) OR i.severity = ANY(:paging)) AND i.state = ANY(:unresolved)
      AND NOT i.is_drill),
  'drift', (SELECT json_agg(d ORDER BY d.process, d.release, d.part) FROM drift d WHERE d.workflow = ANY(:workflows)),
  'looked', (SELECT json_agg(json_build_object('space', h.space)) FROM space_health h
    WHERE h.drift_at > clock_timestamp() - :unknown_after),
  'stated', (SELECT json_agg(f) FROM (
    SELECT DISTINCT ON (kind, workflow) kind, workflow, at FROM stated_fact WHERE workflow = ANY(:workflows)
    ORDER BY kind, workflow, at DESC) f),
  'engine', (SELECT json_agg(e) FROM (SELECT detail ->> 'version' AS version, at FROM stated_fact
    WHERE kind = 'engine' ORDER BY at DESC, id DESC LIMIT 1) e),
  'overdue', (SELECT json_agg(t) FROM (
    SELECT corpus, count(*) AS number FROM takedown
    WHERE requested_at < :overdue AND state IN ('hidden', 'erasing', 'purge_failed') GROUP BY corpus) t),
  'placed', (SELECT json_agg(json_build_object('digest', p.digest, 'body', encode(p.body, 'hex')))
    FROM part p WHERE p.digest = ANY(:parts) AND p.kind IN ('model', 'corpus', 'retrieval')),
  'earlier', CASE WHEN :compared THEN (SELECT json_agg(b) FROM (@before@) b) END
) AS text)
""".replace("@before@", BEFORE).replace("@mitigations@", WITH_END)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenPack:
    """What a board's pack was frozen on. `core`: the digests then; `missing`: its empty sections."""

    core: object
    missing: object


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderWay:
    """A rollout that takes a release up: since when, by which plan."""

    since: datetime
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSnapshot:
    """All rows of these releases, typed. Lists are oldest first; `served`, `standards` and `incidents` newest first.

    `served`, `routes` and `acks` are by (space, workflow), `recused` by (release, gate, attempt), `stated` by (kind,
    workflow), `overdue` by corpus, `templates` by id; `promoters` brought a release into production. `known` are the
    roster and policy versions that were seen, `engine` the version of Pilotage seen last; `placed` are the bodies of
    the releases' parts model, corpus and retrieval. `incidents` are the workflows' unresolved ones and whatever pages
    elsewhere; `looked` are the spaces whose drift was looked for in the last 180 s.
    """

    authors: Mapping[Digest, tuple[Author, ...]]
    evidence: tuple[Evidence, ...]
    votes: tuple[Vote, ...]
    rejections: Mapping[Digest, tuple[Vote, ...]]
    acceptances: tuple[RiskAcceptance, ...]
    attempts: tuple[Attempt, ...]
    recused: Mapping[tuple[str, str, int], Mapping[Role, PersonId]]
    packs: Mapping[str, FrozenPack]
    tenures: tuple[Tenure, ...]
    editors: Mapping[PersonId, datetime]
    delegations: tuple[Delegation, ...]
    known: frozenset[str]
    served: Mapping[tuple[str, str], tuple[Served, ...]]
    routes: Mapping[tuple[str, str], Route]
    acks: Mapping[tuple[str, str], tuple[Ack, ...]]
    emergencies: tuple[Emergency, ...]
    standards: tuple[StandardChange, ...]
    templates: Mapping[str, StandardTemplate]
    said: Mapping[str, tuple[Said, ...]]
    incidents: tuple[StoredIncident, ...]
    drift: tuple[StoredDrift, ...]
    looked: frozenset[str]
    stated: Mapping[tuple[str, str], datetime]
    engine: Engine | None
    overdue: Mapping[str, int]
    promoters: Mapping[Digest, frozenset[PersonId]]
    placed: Mapping[Digest, bytes]
    earlier: Earlier | None
    runs: Mapping[Digest, UnderWay]
    mitigations: tuple[Mitigation, ...] = ()


def read_snapshot(  # noqa: PLR0913 - what is read, about what, and as of when
    connection: Connection,
    releases: Collection[StoredRelease],
    *,
    parts: Collection[Digest],
    subjects: Mapping[SubjectKind, Collection[str]],
    editors_since: datetime,
    spaces: Collection[SpaceName],
    now: datetime,
    compared: bool = False,
) -> GateSnapshot:
    """Return everything stored about the gates of these releases; `parts` are the parts they are made of.

    `compared`: with what the ledger said of the rows, as `said`, and what the releases follow, as `earlier`: whatever
    acts on a release has it all on one snapshot, and a list of many walks no lines that nobody asks for.
    """
    values = {
        **_about(releases, subjects),
        "parts": list(parts),
        "spaces": list(spaces),
        "overdue": now - _OVERDUE,
    }
    read = Together(connection, _SNAPSHOT, {**values, "compared": compared})
    rosters, policies = read.rows("rosters", of=roster_version), read.rows("policies", "seen_at")
    return GateSnapshot(
        authors=_authors(read.rows("authors", "at"), parts),
        evidence=tuple(evidence_of_bytes(piece) for piece in read.pieces("evidence")),
        votes=tuple(vote_from(row) for row in read.rows("votes", of=gate_vote)),
        rejections=_rejections(read.rows("rejections", of=gate_vote)),
        acceptances=tuple(acceptance_from(row) for row in read.rows("acceptances", of=risk_acceptance)),
        attempts=tuple(attempt_from(row) for row in read.rows("attempts", of=gate_attempt)),
        recused=_recused(read.rows("recusals")),
        packs={row["digest"]: FrozenPack(core=row["core"], missing=row["missing"]) for row in read.rows("packs")},
        tenures=tenures_from(rosters),
        editors=editors_from(rosters, policies, since=editors_since),
        delegations=tuple(delegation_from(row) for row in read.rows("delegations", of=gate_delegation)),
        known=frozenset(row["digest"] for row in (*rosters, *policies)),
        served=_by_place(read.rows("served"), _served),
        routes={(row["space"], row["workflow"]): route_from(row) for row in read.rows("routes")},
        acks=_by_place(read.rows("acks"), ack_from),
        emergencies=tuple(emergency_from(row) for row in read.rows("emergencies", of=emergency_change)),
        said=said_from(read.rows("said")),
        standards=tuple(change_from(row) for row in read.rows("standards", of=standard_change)),
        templates=_templates(read),
        incidents=tuple(incident_from(row) for row in read.rows("incidents", of=incident)),
        drift=tuple(drift_from(row) for row in read.rows("drift", of=drift)),
        looked=frozenset(row["space"] for row in read.rows("looked")),
        stated={(row["kind"], row["workflow"]): row["at"] for row in read.rows("stated", "at")},
        engine=engine_from(read.rows("engine", "at")),
        overdue={row["corpus"]: row["number"] for row in read.rows("overdue")},
        promoters=_promoters(read.rows("promoters")),
        placed={Digest(row["digest"]): bytes.fromhex(row["body"]) for row in read.rows("placed")},
        earlier=earlier_from(read.rows("earlier")) if compared else None,
        runs=_runs(read.rows("runs", "since")),
        mitigations=tuple(mitigation_from(row) for row in read.rows("mitigations", "until", of=mitigation)),
    )


def _about(releases: Collection[StoredRelease], subjects: Mapping[SubjectKind, Collection[str]]) -> dict[str, object]:
    pairs = [(kind.value, name) for kind, names in subjects.items() for name in names]
    return {
        "releases": [one.digest for one in releases],
        "contents": [one.parts_digest for one in releases],
        "workflows": sorted({one.workflow for one in releases}),
        "kinds": [kind for kind, _ in pairs],
        "subjects": [name for _, name in pairs],
        "unresolved": [state.value for state in UNRESOLVED],
        "paging": [one.value for one in Severity if one.pages],
        "unknown_after": UNKNOWN_AFTER,
    }


def _templates(read: Together) -> dict[str, StandardTemplate]:
    """Return the templates that the releases' standard changes name, by id."""
    rows, votes = read.rows("templates", of=standard_template), read.rows("template_votes", of=standard_vote)
    return {one.id: one for one in templates_from(rows, votes)}


def _authors(rows: Rows, parts: Collection[Digest]) -> dict[Digest, tuple[Author, ...]]:
    found: dict[Digest, list[Author]] = {name: [] for name in parts}
    for row in rows:
        author = Author(person=PersonId(row["person"]), how=How(row["how"]), ref=row["ref"], at=row["at"])
        found[Digest(row["part_digest"])].append(author)
    return {name: tuple(authors) for name, authors in found.items()}


def _rejections(rows: Rows) -> dict[Digest, tuple[Vote, ...]]:
    """Return the rejections of each content, under any digest."""
    found: dict[Digest, list[Vote]] = {}
    for row in rows:
        found.setdefault(Digest(row["parts_digest"]), []).append(vote_from(row))
    return {content: tuple(votes) for content, votes in found.items()}


def _recused(rows: Rows) -> dict[tuple[str, str, int], dict[Role, PersonId]]:
    found: dict[tuple[str, str, int], dict[Role, PersonId]] = {}
    for row in rows:
        seats = found.setdefault((row["release"], row["gate"], row["attempt"]), {})
        seats[Role(row["role"])] = PersonId(row["alternate"])
    return found


def _runs(rows: Rows) -> dict[Digest, UnderWay]:
    return {Digest(row["release"]): UnderWay(since=row["since"], plan=read_plan(row["plan"])) for row in rows}


def _promoters(rows: Rows) -> dict[Digest, frozenset[PersonId]]:
    found: dict[Digest, frozenset[PersonId]] = {}
    for row in rows:
        release = Digest(row["release"])
        found[release] = found.get(release, frozenset()) | {PersonId(row["promoted_by"])}
    return found


def _by_place(rows: Rows, made: Callable[[StoredRow], T]) -> dict[tuple[str, str], tuple[T, ...]]:
    """Return what was made of the rows, by space and workflow."""
    found: dict[tuple[str, str], list[T]] = {}
    for row in rows:
        found.setdefault((row["space"], row["workflow"]), []).append(made(row))
    return {place: tuple(values) for place, values in found.items()}


def _served(row: StoredRow) -> Served:
    return Served(release=Digest(row["release"]), state=ReleaseState(row["state"]))
