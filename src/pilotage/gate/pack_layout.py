"""How a pack's facts stand on paper: one layout, which page and PDF both print, so neither can say more than the other.

Rule: every fact is shown, by one rule for all: plain values become a list of pairs, rows a table, and a row with rows
of its own a part with a heading. Fail mode: `MISSING` is printed as such and marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, assert_never

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of_json
from pilotage.gate.pack import Section, missing_sections
from pilotage.gate.vocabulary import said

TITLES: Mapping[Section, str] = MappingProxyType(
    {
        Section.OVERVIEW: "Overview and owner",
        Section.JUSTIFICATION: "Business justification",
        Section.ARCHITECTURE: "Architecture and data flow",
        Section.CHANGES: "What changed since the release before",
        Section.GATES: "Gate results",
        Section.RISKS: "Risk register",
        Section.ACCEPTANCES: "Risk acceptances and dissent",
        Section.ROLLOUT: "Rollout plan, and what its traffic can prove",
        Section.ROLLBACK: "Rollback plan and last measured drill",
        Section.COMMUNICATION: "Communication plan",
        Section.RESOURCES: "Resources, on-call and budget",
        Section.SEATS: "Seats and conflicts",
        Section.EXPIRING: "What ends within 30 days",
    }
)
_UNITS: Mapping[str, str] = MappingProxyType({"h": "hours", "ms": "ms", "s": "s"})
_ORDER: Mapping[str, int] = MappingProxyType(
    {
        key: at
        for at, key in enumerate(
            (
                *("title", "workflow", "description", "owner", "data_owner", "security_owner", "risk_tier"),
                *("release", "parent", "sealed_by", "sealed_at", "before", "seat", "holder", "alternates", "conflict"),
                *("plan", "approach", "gate", "criterion", "space", "step", "share", "per_day", "requests", "weight"),
                *("id", "part", "name", "channel", "what", "stage", "corpus", "kind", "condition", "observed"),
                *("limit", "status", "state", "role", "needed", "person", "people", "decision", "comment", "risk"),
                *("source", "likelihood", "impact", "score", "rating", "severity", "treatment", "control", "residual"),
                *("kpis", "targets", "objectives", "criteria", "signoffs", "evidence", "accepted_by", "register"),
                *("steps", "preflight", "triggers", "drills", "procedure", "board", "signers", "accepted", "dissent"),
                *("unit", "direction", "baseline", "baseline_date", "target", "metric", "objective", "days"),
                *("rota", "primary", "secondary", "days_covered", "currency", "monthly_limit", "digest", "authors"),
                *("question", "asked_by", "asked_at", "answer", "answered_by", "answered_at", "at", "given", "counts"),
            )
        )
    }
)
_NAMES = ("gate", "step", "name", "id", "part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A heading; level 1 opens a section, 2 and 3 a part of it."""

    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Labels with their values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table: a label per column, and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of text."""

    text: str


Block: TypeAlias = Heading | Pairs | Grid | Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A pack or minutes as printed: title, what stands under it, and the blocks in order."""

    title: str
    head: Pairs
    blocks: tuple[Block, ...]

    @property
    def foot(self) -> str:
        """The digest of what is printed, for the foot of each page."""
        rows = dict(self.head.rows)
        return rows.get("pack") or rows.get("minutes", "")


def lay_out(facts: Mapping[str, Json]) -> Layout:
    """Return the layout of a facts record."""
    sections = facts.get("sections")
    known = sections if isinstance(sections, Mapping) else {}
    overview = known.get(Section.OVERVIEW.value)
    title = str(overview.get("title", facts.get("workflow"))) if isinstance(overview, Mapping) else "?"
    blocks: list[Block] = []
    for number, section in enumerate(Section, start=1):
        blocks.append(Heading(level=1, text=f"{number}. {TITLES[section]}"))
        blocks += _blocks(known.get(section.value, "MISSING"), level=2)
    return Layout(title=f"CAB pack: {title}", head=_head(facts), blocks=tuple(blocks))


def _head(facts: Mapping[str, Json]) -> Pairs:
    lacking = missing_sections(facts)
    names = ("organisation", "workflow", "release", "gate", "attempt", "as_of")
    rows = [(label_of(name), text_of(facts.get(name))) for name in names]
    rows.append(("pack", digest_of_json(dict(facts))))
    rows.append(("sections with missing facts", ", ".join(lacking) or "none"))
    if facts.get("local_demo") is True:
        rows.append(("identity", "local demo: people are not proven by an identity provider"))
    return Pairs(rows=tuple(rows))


def section_of(facts: Mapping[str, Json], section: Section) -> tuple[Block, ...]:
    """Return the blocks of one section, for a page that shows a part of a pack."""
    sections = facts.get("sections")
    known = sections if isinstance(sections, Mapping) else {}
    return tuple(_blocks(known.get(section.value, "MISSING"), level=2))


def blocks_of(rows: Sequence[Json]) -> tuple[Block, ...]:
    """Return rows as they are printed: lines for plain texts, else a table."""
    plain = [row for row in rows if not isinstance(row, Mapping)]
    return tuple(Note(text=text_of(row)) for row in plain) if plain else tuple(_of_rows(rows, level=3))


def _blocks(value: Json, *, level: int) -> Iterator[Block]:
    match value:
        case Mapping():
            yield from _of_mapping(value, level=level)
        case str() | bool() | int() | float() | None:
            yield Note(text=text_of(value))
        case _:
            yield from _of_rows(value, level=level)


def _of_mapping(value: Mapping[str, Json], *, level: int) -> Iterator[Block]:
    keys = _in_order(value)
    plain = tuple((label_of(key), _cell(key, value[key])) for key in keys if _is_plain(value[key]))
    if plain:
        yield Pairs(rows=plain)
    for key in keys:
        if not _is_plain(value[key]):
            yield Heading(level=min(level, 3), text=label_of(key))
            yield from _blocks(value[key], level=level + 1)


def _of_rows(rows: Sequence[Json], *, level: int) -> Iterator[Block]:
    found = [row for row in rows if isinstance(row, Mapping)]
    if all(_is_plain(cell) for row in found for cell in row.values()):
        keys = _in_order({key for row in found for key in row})
        cells = tuple(tuple(_cell(key, row.get(key)) for key in keys) for row in found)
        yield Grid(columns=tuple(label_of(key) for key in keys), rows=cells)
        return
    for row in found:
        yield Heading(level=min(level, 3), text=_name(row))
        yield from _of_mapping(row, level=level + 1)


def _in_order(keys: Iterable[str]) -> tuple[str, ...]:
    """Return keys as people expect them, whatever order the record has; unknown ones last, by name."""
    return tuple(sorted(keys, key=lambda key: (_ORDER.get(key, len(_ORDER)), key)))


def _name(row: Mapping[str, Json]) -> str:
    found = [str(row[key]) for key in ("space", *_NAMES) if key in row]
    return ", ".join(found[:2]) or "row"


def _cell(key: str, value: Json) -> str:
    return said(value) if key == "decision" and isinstance(value, str) else text_of(value)


def _is_plain(value: Json) -> bool:
    if isinstance(value, Mapping):
        return False
    if isinstance(value, Sequence) and not isinstance(value, str):
        return not any(isinstance(one, Mapping) for one in value)
    return True


def label_of(key: str) -> str:
    """Return a key as people read it, with its unit: `age_h` is `age (hours)`."""
    stem, _, last = key.rpartition("_")
    if stem and last in _UNITS:
        return f"{stem.replace('_', ' ')} ({_UNITS[last]})"
    return key.replace("_", " ")


def text_of(value: Json) -> str:
    """Return a plain value as it is printed, on paper and page alike."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str():
            return value or "-"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value == int(value) else f"{value:.6g}"
        case Sequence():
            return "; ".join(text_of(one) for one in value) or "none"
        case Mapping():
            return "; ".join(f"{label_of(key)} {text_of(one)}" for key, one in value.items()) or "none"
    assert_never(value)
