"""The routing table of this process: which release answers for a (space, workflow), held in memory.

A table is immutable and is swapped whole (serving/routing_watch.py); looking a row up costs no I/O and no lock. Fail
mode: a table not confirmed for `routing_stale_s` answers nobody; one not confirmed for 3 s sends nobody to a candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.release.content import ReleaseContent
from pilotage.release.generation import Model
from pilotage.retrieval.embedder import Embedder
from pilotage.rollout.assignment import Arm, Cohort, Split
from pilotage.rollout.pairing import sample_bucket
from pilotage.space.settings import Space

__all__ = ["Arm", "Place", "Release", "RoutingRow", "RoutingTable"]

SELF_FENCED_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release that was verified against its digest in this process, with the models that find and speak for it.

    `embedder` is None where the release finds by words alone.
    """

    content: ReleaseContent
    model: Model
    embedder: Embedder | None = None

    @property
    def digest(self) -> Digest:
        """The release's name."""
        return self.content.digest

    async def close(self) -> None:
        """Close the models."""
        await self.model.close()
        if self.embedder is not None:
            await self.embedder.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRow:
    """One row of table `routing`; `split` says who meets the candidate.

    `closed`: no release answers for stable, because none was ever authorised (`not_released`) or none is left.
    `is_probed`: a rollback of it is being validated, so this process asks its critical questions.
    `drill`: a release that a drill has every process load beside what serves; no asker meets it.
    `drill_failover`: the partner that a drill has answer for this space; only traffic of kind `drill` meets it.
    `down`: the space is unhealthy, or its askers were sent to `failover` and were not brought back yet.
    `evicted`: what this process holds is not what was approved, so it answers nobody here.
    `cut`: releases that a hard event took out; no byte of theirs leaves any more.
    `shadow`: a release that answers `shadow_ppm` of the requests once more, for rollout `rollout`; nobody sees it.
    """

    space: SpaceName
    workflow: WorkflowName
    generation: int
    stable: Digest | None
    candidate: Digest | None = None
    split: Split = field(default_factory=Split)
    paused: bool = False
    closed: str | None = None
    is_probed: bool = False
    drill: Digest | None = None
    drill_failover: SpaceName | None = None
    down: bool = False
    failover: SpaceName | None = None
    evicted: bool = False
    cut: frozenset[Digest] = frozenset()
    shadow: Digest | None = None
    shadow_ppm: int = 0
    rollout: str | None = None

    @property
    def named(self) -> tuple[Digest, ...]:
        """Every release that must be loaded for this row."""
        every = (self.stable, self.candidate, self.drill, self.shadow)
        return tuple(digest for digest in every if digest is not None)

    @property
    def stable_only(self) -> RoutingRow:
        """The row with everybody on stable, for where a newer one says what nobody here understands."""
        return replace(self, candidate=None, split=Split(salt=self.split.salt), shadow=None, shadow_ppm=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request is answered: the declared space, and the routing row it keeps until it ends."""

    space: Space
    row: RoutingRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """All rows and the loaded releases. `withdrawn` are releases that were revoked or quarantined.

    `left` tells since when, in monotonic seconds, a release is its row's candidate no more without having become
    stable; `confirmed_at` is monotonic time in seconds of the last moment the store agreed with this table.
    """

    rows: Mapping[tuple[SpaceName, WorkflowName], RoutingRow] = field(default_factory=dict)
    releases: Mapping[Digest, Release] = field(default_factory=dict)
    withdrawn: frozenset[Digest] = frozenset()
    left: Mapping[tuple[SpaceName, WorkflowName, Digest], float] = field(default_factory=dict)
    confirmed_at: float = float("-inf")

    def row(self, space: SpaceName, workflow: WorkflowName) -> RoutingRow | None:
        """Return the row of a workflow in a space, or None when the space does not serve it."""
        return self.rows.get((space, workflow))

    def spaces_of(self, workflow: WorkflowName) -> tuple[SpaceName, ...]:
        """Return the spaces that serve a workflow, by name."""
        return tuple(sorted(space for space, served in self.rows if served == workflow))

    def is_serving(self, digest: Digest | None) -> bool:
        """Tell whether a release may answer here: loaded, and not withdrawn."""
        return digest is not None and digest in self.releases and digest not in self.withdrawn

    def may_keep(self, digest: Digest) -> bool:
        """Tell whether what a release said may be given again: some row has it answer, and no hard event took it out.

        One space in which it was cut is enough to forget it everywhere.
        """
        rows = self.rows.values()
        is_named = any(digest in (row.stable, row.candidate) for row in rows)
        return is_named and self.is_serving(digest) and not any(digest in row.cut for row in rows)


def effective_split(row: RoutingRow, *, confirmed_s_ago: float) -> Split:
    """Return how the row divides its askers now; a table nobody confirms gives the candidate nothing."""
    if row.candidate is None:
        return Split()
    return row.split if confirmed_s_ago <= SELF_FENCED_S else Split(salt=row.split.salt)


def shadowed_for(row: RoutingRow, interaction: str, *, confirmed_s_ago: float) -> str | None:
    """Return the rollout that this request is sampled for, by a hash of its id alone; None for most.

    A table nobody confirms samples nothing.
    """
    if row.shadow is None or row.rollout is None or row.shadow_ppm <= 0 or confirmed_s_ago > SELF_FENCED_S:
        return None
    return row.rollout if sample_bucket(row.split.salt, interaction) < row.shadow_ppm else None


def read_split(value: Mapping[str, object]) -> Split:
    """Decode the columns salt, fraction_ppm, cohort and pins; raise ValueError for what we do not understand."""
    cohort, pins = value["cohort"], value["pins"]
    if not isinstance(cohort, Mapping) or not isinstance(pins, Mapping) or cohort.keys() - {"all", "groups"}:
        message = "cohort or pins have an unknown form"
        raise ValueError(message)
    groups = cohort.get("groups", [])
    if not isinstance(groups, list):
        message = "cohort.groups is not a list"
        raise ValueError(message)  # noqa: TRY004 - one error for every row that does not decode
    return Split(
        salt=str(value["salt"]),
        fraction_ppm=int(str(value["fraction_ppm"])),
        cohort=Cohort(everybody=cohort.get("all") is True, groups=frozenset(map(str, groups))),
        pins={str(principal): Arm(arm) for principal, arm in pins.items()},
    )
