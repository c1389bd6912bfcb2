"""Retrieval, fine-tuning, both, or a prompt alone (operations.md 8): the choice, its reasons, and what would change it.

Rule: retrieval is needed for per-person permissions, takedown duty, citations, content that must stay in a region, or
updates at least every 30 days. Fine-tuning serves form, tone or classification alone, with 500 reviewed examples that
every user may see, updates slower than 90 days, and never restricted data; a corpus's classification counts where it
is stricter than the declared one. Fail mode: what nobody answered leaves open what depends on it; an open question is
never a no, and what it could still make of the choice is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from pilotage.core.canonical import Json
from pilotage.core.reason import Reason
from pilotage.corpus.settings import Classification
from pilotage.workspace.portfolio import Needs, Purpose, UseCase, update_days

OFTEN_DAYS: Final = 30
SELDOM_DAYS: Final = 90
EXAMPLES: Final = 500
_TUNED: Final = frozenset({Purpose.FORM, Purpose.TONE, Purpose.CLASSIFICATION})


class Choice(StrEnum):
    """What to build on."""

    RETRIEVAL = "retrieval"
    FINE_TUNING = "fine-tuning"
    HYBRID = "hybrid"
    PROMPT_ONLY = "prompt only"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the choice depends on. None: nobody answered. `update_days`: days between two updates of the content."""

    needs: Needs
    update_days: float | None
    sensitivity: Classification | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One fact that would change the choice, were it otherwise."""

    fact: str
    to: str
    choice: Choice

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {"fact": self.fact, "to": self.to, "choice": self.choice.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The choice. `missing` are facts that would settle it, `possible` what else they could make it."""

    choice: Choice
    possible: tuple[Choice, ...]
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def said(self) -> str:
        """The choice in words; one that is sure in part, with what it may still become."""
        if self.choice is Choice.OPEN or not self.possible:
            return self.choice.value
        return f"{self.choice.value} ({' or '.join(one.value for one in self.possible)} possible)"

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "choice": self.choice.value,
            "possible": [one.value for one in self.possible],
            "reasons": [dict(one.as_json()) for one in self.reasons],
            "missing": list(self.missing),
            "changes": [one.as_json() for one in self.changes],
        }


def facts_of(case: UseCase, corpora: Iterable[Classification] = ()) -> Facts:
    """Return what a use case says, and the classifications of the corpora it names.

    Where none is declared, a corpus says only that it is restricted: its documents may be stricter than itself.
    """
    strictest = max((*corpora, case.sensitivity or Classification.PUBLIC), key=lambda one: one.rank)
    is_said = case.sensitivity is not None or strictest is Classification.RESTRICTED
    written = case.update_frequency
    return Facts(
        needs=case.needs,
        update_days=None if written is None else update_days(written),
        sensitivity=strictest if is_said else None,
    )


def advise(facts: Facts) -> Advice:
    """Decide for these facts, and try each of them otherwise."""
    retrieval, tuning = _for_retrieval(facts), _for_tuning(facts)
    needed, fits = _any(retrieval), _all(tuning)
    missing: list[str] = []
    if needed is None:
        missing += [one.fact for one in retrieval if one.holds is None]
    if fits is None:
        missing += [one.fact for one in tuning if one.holds is None]
    choice = _choose(needed=needed, fits=fits)
    return Advice(
        choice=choice,
        possible=tuple(one for one in Choice if one is not choice and one in _possible(facts)) if missing else (),
        reasons=_reasons(retrieval, tuning, fits=fits),
        missing=tuple(dict.fromkeys(missing)),
        changes=() if choice is Choice.OPEN else _changes(facts, choice),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condition:
    """One condition: `yes` and `no` say it in words."""

    fact: str
    holds: bool | None
    yes: str
    no: str


def _choose(*, needed: bool | None, fits: bool | None) -> Choice:
    match needed, fits:
        case True, True:
            return Choice.HYBRID
        case True, _:
            return Choice.RETRIEVAL
        case False, True:
            return Choice.FINE_TUNING
        case False, False:
            return Choice.PROMPT_ONLY
        case _:
            return Choice.OPEN


def _possible(facts: Facts) -> frozenset[Choice]:
    """Return what the choice may be once every open question is answered, one way or the other."""
    days = (OFTEN_DAYS, SELDOM_DAYS, SELDOM_DAYS + 1) if facts.update_days is None else (facts.update_days,)
    found: set[Choice] = set()
    for one in days:
        other = replace(facts, update_days=one)
        needed, fits = _any(_for_retrieval(other)), _all(_for_tuning(other))
        found |= {_choose(needed=yes, fits=well) for yes in _either(needed) for well in _either(fits)}
    return frozenset(found)


def _either(answer: bool | None) -> tuple[bool, ...]:  # noqa: FBT001 - one of three answers
    return (True, False) if answer is None else (answer,)


def _any(conditions: Sequence[_Condition]) -> bool | None:
    held = [one.holds for one in conditions]
    return True if True in held else None if None in held else False


def _all(conditions: Sequence[_Condition]) -> bool | None:
    held = [one.holds for one in conditions]
    return False if False in held else None if None in held else True


def _for_retrieval(facts: Facts) -> tuple[_Condition, ...]:
    needs, days = facts.needs, facts.update_days
    return (
        _Condition(
            fact="per_person_permissions",
            holds=needs.per_person_permissions,
            yes="Each person may see other documents: weights cannot keep readers apart.",
            no="Every user may see the same content.",
        ),
        _Condition(
            fact="takedown_duty",
            holds=needs.takedown_duty,
            yes="A document may have to disappear: weights do not forget.",
            no="Nothing ever has to be taken down.",
        ),
        _Condition(
            fact="citations_required",
            holds=needs.citations_required,
            yes="Answers must cite their source.",
            no="No answer has to cite a source.",
        ),
        _Condition(
            fact="content_residency",
            holds=needs.content_residency,
            yes="The content must stay in its region.",
            no="The content may be anywhere.",
        ),
        _Condition(
            fact="update_frequency",
            holds=None if days is None else days <= OFTEN_DAYS,
            yes=f"The content changes at least every {OFTEN_DAYS} days.",
            no=f"The content changes less often than every {OFTEN_DAYS} days.",
        ),
    )


def _for_tuning(facts: Facts) -> tuple[_Condition, ...]:
    needs, days, level = facts.needs, facts.update_days, facts.sensitivity
    wanted, examples = needs.adapt_for, needs.reviewed_examples
    return (
        _Condition(
            fact="adapt_for",
            holds=None if wanted is None else wanted in _TUNED,
            yes=f"What is to be adapted is {wanted}.",
            no="Nothing is to be adapted that weights are for: form, tone or classification.",
        ),
        _Condition(
            fact="reviewed_examples",
            holds=None if examples is None else examples >= EXAMPLES,
            yes=f"{examples or 0:,} reviewed examples, of {EXAMPLES} needed.",
            no=f"{examples or 0:,} reviewed examples; {EXAMPLES} are needed.",
        ),
        _Condition(
            fact="examples_for_everyone",
            holds=needs.examples_for_everyone,
            yes="Every user may see the content of the examples.",
            no="Not every user may see the content of the examples.",
        ),
        _Condition(
            fact="update_frequency",
            holds=None if days is None else days > SELDOM_DAYS,
            yes=f"The content changes less often than every {SELDOM_DAYS} days.",
            no=f"The content changes every {SELDOM_DAYS} days or more often.",
        ),
        _Condition(
            fact="sensitivity",
            holds=None if level is None else level is not Classification.RESTRICTED,
            yes=f"The data is {level}.",
            no="The data is restricted: it never enters weights.",
        ),
    )


def _reasons(retrieval: Sequence[_Condition], tuning: Sequence[_Condition], *, fits: bool | None) -> tuple[Reason, ...]:
    """Return what speaks for retrieval, else what there is against it, and the same for fine-tuning."""
    speaking = [_reason("NEEDS_RETRIEVAL", one.yes, one) for one in retrieval if one.holds]
    if not speaking:
        speaking = [_reason("NO_RETRIEVAL", one.no, one) for one in retrieval if one.holds is False]
    if fits:
        return (*speaking, *(_reason("MAY_BE_TUNED", one.yes, one) for one in tuning))
    return (*speaking, *(_reason("NOT_TUNED", one.no, one) for one in tuning if one.holds is False))


def _reason(code: str, text: str, condition: _Condition) -> Reason:
    return Reason(code=code, text=text, where=condition.fact)


def _changes(facts: Facts, choice: Choice) -> tuple[Change, ...]:
    found = [
        Change(fact=fact, to=said, choice=_choice_of(other))
        for fact, said, other in (*_other_needs(facts), *_other_facts(facts))
    ]
    return tuple(one for one in found if one.choice not in {choice, Choice.OPEN})


def _choice_of(facts: Facts) -> Choice:
    return _choose(needed=_any(_for_retrieval(facts)), fits=_all(_for_tuning(facts)))


def _other_needs(facts: Facts) -> Iterator[tuple[str, str, Facts]]:
    needs = facts.needs
    for name in _FLAGS:
        known = getattr(needs, name)
        for answer in (True, False):
            if answer is not known:
                other: dict[str, Any] = {name: answer}
                yield name, "yes" if answer else "no", replace(facts, needs=replace(needs, **other))
    for purpose, said in ((Purpose.NOTHING, "nothing"), (Purpose.FORM, "form, tone or classification")):
        yield "adapt_for", said, replace(facts, needs=replace(needs, adapt_for=purpose))
    for count, said in ((0, f"fewer than {EXAMPLES}"), (EXAMPLES, f"{EXAMPLES} or more")):
        yield "reviewed_examples", said, replace(facts, needs=replace(needs, reviewed_examples=count))


def _other_facts(facts: Facts) -> Iterator[tuple[str, str, Facts]]:
    for days, said in (
        (OFTEN_DAYS, f"every {OFTEN_DAYS} days or more often"),
        (SELDOM_DAYS, f"every {OFTEN_DAYS + 1} to {SELDOM_DAYS} days"),
        (SELDOM_DAYS + 1, f"less often than every {SELDOM_DAYS} days"),
    ):
        yield "update_frequency", said, replace(facts, update_days=days)
    for level in (Classification.RESTRICTED, Classification.INTERNAL):
        yield "sensitivity", level.value, replace(facts, sensitivity=level)


_FLAGS: Final = (
    "per_person_permissions",
    "takedown_duty",
    "citations_required",
    "content_residency",
    "examples_for_everyone",
)
