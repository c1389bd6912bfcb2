"""The risk register (gates.md 6.2): declared rows and generated ones, scored and rated.

Rule: a generated row can be treated, never deleted. Fail mode: a row without a treatment counts as untreated, and so
does one that cannot be read or whose mitigation is overdue without a proof; no row hides another of its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from pilotage.core.canonical import Json
from pilotage.evaluation.mitigation import Mitigation, MitigationState
from pilotage.gate.records import RiskAcceptance
from pilotage.gate.report import CriterionResult

_TREATMENTS = frozenset({"mitigate", "mitigated", "accept", "accepted", "avoid", "avoided", "transfer", "transferred"})
_FLAGS: Mapping[str, tuple[str, int, int]] = {
    "GUARD_WEAKENED": ("A guard rule is weaker than in the release before", 3, 4),
    "EGRESS_ADDED": ("The release may reach a new host", 3, 4),
    "TOOL_ADDED": ("The release may call a new tool", 3, 4),
    "MODEL_CHANGED": ("Another model answers", 3, 3),
    "MUST_PASS_REMOVED": ("A golden case that had to pass is gone", 3, 4),
    "GOLDEN_SHRUNK": ("The golden set lost more than 5 % of its cases", 3, 4),
    "ACL_WIDENED": ("More people may read a document than before", 3, 4),
    "CORPUS_SHRUNK": ("The corpus lost more than 10 % of its documents", 2, 3),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """One row. Likelihood and impact from 1 to 5; the score is their product.

    `due` is the day (YYYY-MM-DD) by which a mitigation is in place, `proof` where that can be seen.
    """

    id: str
    title: str
    source: str
    likelihood: int
    impact: int
    owner: str
    treatment: str = ""
    control: str = ""
    residual: int | None = None
    status: str = "open"
    due: str = ""
    proof: str = ""
    generated: bool = False

    @property
    def score(self) -> int:
        """Return likelihood times impact, 1 to 25."""
        return self.likelihood * self.impact

    @property
    def rating(self) -> str:
        """Return low (1-4), medium (5-9), high (10-16) or critical (17-25)."""
        if self.score >= 17:
            return "critical"
        if self.score >= 10:
            return "high"
        return "medium" if self.score >= 5 else "low"

    @property
    def is_treated(self) -> bool:
        """Tell whether it is mitigated, accepted, avoided or transferred."""
        return self.treatment.strip().lower() in _TREATMENTS and bool(self.control.strip())

    def is_overdue(self, today: date) -> bool:
        """Tell whether a mitigation was due before today, or at no day that can be read, and nothing proves it."""
        if not self.due or self.proof.strip() or not self.treatment.strip().lower().startswith("mitigate"):
            return False
        try:
            return date.fromisoformat(self.due) < today
        except ValueError:
            return True

    def as_json(self) -> dict[str, Json]:
        """Return the row as pack and page show it; what is not declared of `due` and `proof` is left out."""
        said: dict[str, Json] = {name: text for name, text in (("due", self.due), ("proof", self.proof)) if text}
        return {
            **said,
            "id": self.id,
            "title": self.title,
            "source": self.source,
            "likelihood": self.likelihood,
            "impact": self.impact,
            "score": self.score,
            "rating": self.rating,
            "owner": self.owner,
            "treatment": self.treatment,
            "control": self.control,
            "residual": self.residual,
            "status": self.status,
            "generated": self.generated,
        }


def untreated(risks: Iterable[Risk], today: date | None = None) -> tuple[Risk, ...]:
    """Return the rows that block the board: no treatment, no control behind it, or a mitigation that is overdue."""
    return tuple(risk for risk in risks if not risk.is_treated or (today is not None and risk.is_overdue(today)))


def without_owner(risks: Iterable[Risk]) -> tuple[Risk, ...]:
    """Return the rows that belong to nobody."""
    return tuple(risk for risk in risks if not risk.owner)


def declared_risks(notes: Mapping[str, Json], people: Iterable[str]) -> tuple[Risk, ...]:
    """Return the rows of a risk assessment's front matter; an owner who is no declared person counts as none."""
    known = set(people)
    rows = notes.get("risks")
    if rows is None:
        return ()
    found: dict[str, Risk] = {}
    listed = rows if isinstance(rows, Sequence) and not isinstance(rows, str) else [rows]
    for number, row in enumerate(listed, start=1):
        risk = _row(row if isinstance(row, Mapping) else {"title": str(row)}, number, known)
        name = risk.id
        while name in found:
            name += f" (row {number})"
        found[name] = replace(risk, id=name)
    return tuple(found.values())


def _row(row: Mapping[str, Json], number: int, known: set[str]) -> Risk:
    owner = str(row.get("owner", ""))
    residual = row.get("residual")
    return Risk(
        id=str(row.get("id", f"row {number}")),
        title=str(row.get("title", "")),
        source=str(row.get("source", "")),
        likelihood=_level(row.get("likelihood")),
        impact=_level(row.get("impact")),
        owner=owner if owner in known else "",
        treatment=str(row.get("treatment", "")),
        control=str(row.get("control", "")),
        residual=residual if isinstance(residual, int) else None,
        status=str(row.get("status", "open")),
        due=str(row.get("due") or ""),
        proof=str(row.get("proof") or ""),
    )


def _level(value: Json) -> int:
    """Return a level from 1 to 5; what is no level counts as the worst."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 5 else 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What of a release is a risk beside its flags and criteria.

    `pinned_by`: the acceptance of a floating model; `undecidable`: metrics that no traffic can decide; `ending`:
    acceptances in force that end within 30 days; `untested`: regions the plan goes to in which nothing was tested.
    """

    is_floating: bool = False
    pinned_by: RiskAcceptance | None = None
    undecidable: int = 0
    ending: tuple[RiskAcceptance, ...] = ()
    untested: tuple[str, ...] = ()


_NOTHING: Final = Exposed()


def generated_risks(
    flags: Iterable[str],
    criteria: Iterable[tuple[str, CriterionResult]],
    acceptances: Iterable[RiskAcceptance],
    *,
    owner: str,
    treated: Mapping[str, Risk],
    exposed: Exposed = _NOTHING,
) -> tuple[Risk, ...]:
    """Return rows for flags of the release diff, failed criteria and what else is exposed; `treated` by id.

    A failed criterion is treated by the acceptance that covers it, and by no other that names it.
    """
    rows: list[Risk] = []
    for flag in sorted(set(flags)):
        title, likelihood, impact = _FLAGS.get(flag, (flag, 3, 3))
        rows.append(_generated(f"flag:{flag}", title, likelihood, impact, owner, treated))
    if exposed.is_floating:
        title = "A model is named by a floating alias, which its provider may move"
        rows.append(_covered(_generated("model:floating", title, 3, 3, owner, treated), exposed.pinned_by))
    if exposed.undecidable:
        title = f"{exposed.undecidable} metrics of the rollout cannot be decided with the traffic there is"
        rows.append(_generated("rollout:undecidable", title, 3, 3, owner, treated))
    for region in exposed.untested:
        title = f"Neither load, failover, recovery nor a rollback was tested in {region}, where the plan goes"
        rows.append(_generated(f"region:{region}", title, 2, 3, owner, treated))
    for risk in exposed.ending:
        title = f"The acceptance of {risk.risk!r} ends on {risk.expires:%Y-%m-%d}"
        rows.append(_covered(_generated(f"acceptance:{risk.id}", title, 3, 3, owner, treated), risk))
    accepted = {risk.id: risk for risk in acceptances}
    for gate, result in criteria:
        if result.outcome == "ok":
            continue
        cover = None if result.accepted_by is None else accepted.get(result.accepted_by)
        row = _generated(
            f"criterion:{gate}/{result.id}", f"{gate}: {result.id} is {result.state}", 3, 3, owner, treated
        )
        rows.append(_covered(row, cover))
    return tuple(rows)


def mitigation_risks(found: Iterable[Mitigation], people: Iterable[str], now: datetime) -> tuple[Risk, ...]:
    """Return a row for each mitigation that is not closed; an owner who is no declared person counts as none."""
    known = set(people)
    return tuple(
        Risk(
            id=f"mitigation:{one.id}",
            title=f"{one.finding.attribute}: {one.finding.text}",
            source="generated",
            likelihood=3,
            impact=3,
            owner=one.owner if one.owner in known else "",
            treatment="mitigate",
            control=one.action,
            due=one.due.isoformat(),
            generated=True,
        )
        for one in found
        if one.state(now) is not MitigationState.CLOSED
    )


def _covered(row: Risk, cover: RiskAcceptance | None) -> Risk:
    """Return the row as an acceptance treats it."""
    if cover is None:
        return row
    return replace(
        row,
        likelihood=cover.likelihood,
        impact=cover.impact,
        owner=cover.owner,
        treatment="accept",
        control="; ".join(cover.controls),
        status=f"accepted until {cover.expires:%Y-%m-%d}",
    )


def _generated(name: str, title: str, likelihood: int, impact: int, owner: str, treated: Mapping[str, Risk]) -> Risk:
    known = treated.get(name)
    return Risk(
        id=name,
        title=title,
        source="generated",
        likelihood=likelihood,
        impact=impact,
        owner=owner if known is None else known.owner or owner,
        treatment="" if known is None else known.treatment,
        control="" if known is None else known.control,
        status="open" if known is None else known.status,
        due="" if known is None else known.due,
        proof="" if known is None else known.proof,
        generated=True,
    )
