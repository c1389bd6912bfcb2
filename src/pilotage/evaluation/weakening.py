"""What a change of golden files makes easier to pass (evaluation.md 2.6).

Weakening is: removing a case or fact, another question, asker or attack under its id, dropping must_pass, widening a
tolerance, changing `refuse`, dropping a wanted citation or a forbidden thing, moving a gate case to dev. Rule: each is
listed with its case and needs a sign-off by someone other than the editor; until then the old case is also run and
counts. Fail mode: a fact that changed in any other way than getting stricter is one removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pilotage.core.canonical import Json, canonical_bytes
from pilotage.evaluation.digests import input_digest
from pilotage.workspace.golden import Expect, Fact, FactForm, GoldenCase, GoldenFile, Split


class WeakeningKind(StrEnum):
    """How a golden set got easier."""

    CASE_REMOVED = "case_removed"
    MOVED_TO_DEV = "moved_to_dev"
    MUST_PASS_DROPPED = "must_pass_dropped"  # noqa: S105 - a kind of change, not a secret
    FACT_REMOVED = "fact_removed"
    TOLERANCE_WIDENED = "tolerance_widened"
    REFUSE_CHANGED = "refuse_changed"
    CITATION_REMOVED = "citation_removed"
    FORBIDDEN_REMOVED = "forbidden_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakening:
    """One weakening of one case; `what` is the fact, citation or value that went."""

    case_id: str
    kind: WeakeningKind
    what: str = ""


def weakenings(old: Iterable[GoldenFile], new: Iterable[GoldenFile]) -> tuple[Weakening, ...]:
    """Return everything that got easier from one golden set to the next, by case id."""
    before, after = _by_id(old), _by_id(new)
    found: list[Weakening] = []
    for name, (split, case) in sorted(before.items()):
        if name not in after:
            found.append(Weakening(case_id=name, kind=WeakeningKind.CASE_REMOVED))
            continue
        new_split, changed = after[name]
        if split is Split.GATE and new_split is Split.DEV:
            found.append(Weakening(case_id=name, kind=WeakeningKind.MOVED_TO_DEV))
        found += _of_case(case, changed)
    return tuple(found)


def cases_that_still_count(
    old: Iterable[GoldenFile], new: Iterable[GoldenFile], *, signed_off: frozenset[str]
) -> tuple[GoldenCase, ...]:
    """Return the old gate cases that are also run: those weakened whose id nobody else has signed off."""
    kept = list(old)
    weak = {one.case_id for one in weakenings(kept, new)} - signed_off
    before = _by_id(kept)
    return tuple(before[name][1] for name in sorted(weak) if before[name][0] is Split.GATE)


def _by_id(files: Iterable[GoldenFile]) -> Mapping[str, tuple[Split, GoldenCase]]:
    return {case.id: (one.split, case) for one in files for case in one.cases}


def _of_case(old: GoldenCase, new: GoldenCase) -> list[Weakening]:
    found: list[tuple[WeakeningKind, str]] = []
    if input_digest(old) != input_digest(new):
        found.append((WeakeningKind.CASE_REMOVED, "its id asks another question"))
    if (old.attack, old.choice, old.member) != (new.attack, new.choice, new.member):
        found.append((WeakeningKind.CASE_REMOVED, "its id tests something else"))
    if old.must_pass and not new.must_pass:
        found.append((WeakeningKind.MUST_PASS_DROPPED, ""))
    if (old.expect.refuse, old.expect.refuse_reasons) != (new.expect.refuse, new.expect.refuse_reasons):
        found.append((WeakeningKind.REFUSE_CHANGED, f"{old.expect.refuse} to {new.expect.refuse}"))
    found += _facts(old.expect.facts, new.expect.facts)
    found += [(WeakeningKind.FORBIDDEN_REMOVED, one) for one in _no_longer_forbidden(old.expect, new.expect)]
    found += [
        (WeakeningKind.CITATION_REMOVED, " or ".join(entry))
        for entry in old.expect.citations
        if not any(set(one) <= set(entry) for one in new.expect.citations)
    ]
    return [Weakening(case_id=old.id, kind=kind, what=what) for kind, what in found]


def _no_longer_forbidden(old: Expect, new: Expect) -> list[str]:
    kept = {_bare(one) for one in new.forbid}
    facts = [_shown(one) for one in old.forbid if _bare(one) not in kept]
    return facts + [one for one in old.forbid_documents if one not in new.forbid_documents]


def _facts(old: Sequence[Fact], new: Sequence[Fact]) -> list[tuple[WeakeningKind, str]]:
    left = list(new)
    found: list[tuple[WeakeningKind, str]] = []
    for fact in old:
        kept = next((one for one in left if _is_as_strict(one, fact)), None)
        twin = kept or next((one for one in left if _is_wider(one, fact)), None)
        if twin is not None:
            left.remove(twin)
        if twin is None:
            found.append((WeakeningKind.FACT_REMOVED, _shown(fact)))
        elif kept is None:
            found.append((WeakeningKind.TOLERANCE_WIDENED, _shown(fact)))
    return found


def _is_as_strict(new: Fact, old: Fact) -> bool:
    """Tell whether one fact is another, or the same number within a tolerance that is no wider."""
    if new.weight < old.weight or (new.allow_negated and not old.allow_negated):
        return False
    return _bare(new) == _bare(old) or (_is_same_number(new, old) and not _widens(new, old))


def _is_wider(new: Fact, old: Fact) -> bool:
    return _is_same_number(new, old) or _same_value(new, old)


def _same_value(new: Fact, old: Fact) -> bool:
    return new.form is old.form and canonical_bytes(new.value) == canonical_bytes(old.value)


def _is_same_number(new: Fact, old: Fact) -> bool:
    mine, theirs = _fields(new), _fields(old)
    return bool(mine and theirs) and (mine.get("number"), mine.get("unit")) == (
        theirs.get("number"),
        theirs.get("unit"),
    )


def _fields(fact: Fact) -> Mapping[str, Json]:
    return fact.value if fact.form is FactForm.NUMBER and isinstance(fact.value, Mapping) else {}


def _widens(new: Fact, old: Fact) -> bool:
    """Tell whether abs or rel grew, rounding takes fewer digits, or rounding (0 is off) was switched on."""
    mine, theirs = _fields(new), _fields(old)
    if any(float(str(mine.get(name) or 0)) > float(str(theirs.get(name) or 0)) for name in ("abs", "rel")):
        return True
    digits, before = (int(str(one.get("rounding", 3))) for one in (mine, theirs))
    return digits not in (0, before) and (before == 0 or digits < before)


def _bare(fact: Fact) -> bytes:
    """Return form and value; the id is a name and the weight is compared by itself."""
    plain = replace(fact, id=None)
    return canonical_bytes([plain.form.value, plain.value, plain.allow_negated])


def _shown(fact: Fact) -> str:
    return fact.id or canonical_bytes(fact.value).decode()[:120]
