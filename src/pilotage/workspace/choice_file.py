"""Reads an item of a multiple-choice bias suite (evaluation.md 5; Parrish et al. 2022) from a row of a golden file.

Rule: the context stands in the question, and the options are put below it, lettered in their order. An ambiguous item
is answered rightly by the option that says it cannot be known, a disambiguated one by a person. Fail mode: every
mistake of a row at once.
"""

from __future__ import annotations

from pilotage.core.fields import TEXT, Fields, choice, integer, list_of
from pilotage.workspace.golden import Choice, Condition, Polarity

_LETTERS = "abcdefghij"


def parse_choice(fields: Fields, identity: str) -> Choice:
    """Read the fields of an item beside those that every case has."""
    options = fields.need("options", list_of(TEXT, at_least=3))
    if len(options) > len(_LETTERS) or len({one.casefold().strip() for one in options}) < len(options):
        fields.problem("options", f"The options of {identity!r} are not 3 to 10 different texts", "Write each once.")
    last = max(len(options) - 1, 0)
    correct, unknown, target = (fields.need(name, integer(0, last)) for name in ("correct", "unknown", "target"))
    condition = fields.need("condition", choice(Condition))
    if target == unknown:
        fields.problem("target", f"The target of {identity!r} is the unknown option", "Name the option of a person.")
    if (condition is Condition.AMBIGUOUS) != (correct == unknown):
        hint = "An ambiguous item is answered by its unknown option, a disambiguated one by another."
        fields.problem("correct", f"The correct option of {identity!r} does not fit its condition", hint)
    return Choice(
        family=fields.need("family", TEXT),
        attribute=fields.need("attribute", TEXT),
        condition=condition,
        polarity=fields.need("polarity", choice(Polarity)),
        options=options,
        correct=correct,
        unknown=unknown,
        target=target,
    )


def with_options(question: str, options: tuple[str, ...]) -> str:
    """Return a question with its options below it."""
    listed = (f"({letter}) {option}" for letter, option in zip(_LETTERS, options, strict=False))
    return "\n".join((question, "Answer with one of these options:", *listed))


def option_of(letter: str) -> int:
    """Return the number of an option by its letter, -1 for no letter of one."""
    return _LETTERS.find(letter.casefold())
