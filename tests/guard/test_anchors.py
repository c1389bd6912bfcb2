"""What a statement has to answer for: its names, quotes, dates and numbers, and which of them a text bears out."""

from __future__ import annotations

import pytest

from pilotage.guard.anchors import names_in, quotes_in, share, support_of

SOURCE = "Ada Lovelace of Northlake Bank wrote on 3 July 2026: \u201cThe daily limit is $25,000\u201d."


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("Payments are made daily.", ()),
        ("The Northlake Bank pays.", ("Northlake Bank",)),
        ("Ada Lovelace signed.", ("Lovelace",)),
        ("It was signed by Ada Lovelace and Ben Stone.", ("Ada Lovelace and Ben Stone",)),
        ("Bank of England rates apply.", ("England",)),
        ("KYC applies, and KYC lasts.", ("KYC",)),
        ("On Monday the This ends.", ("Monday",)),
        ("...", ()),
        ("In July it ends.", ()),
    ],
)
def test_names_are_runs_of_capitalised_words_that_no_start_of_a_sentence_explains(
    statement: str, names: tuple[str, ...]
) -> None:
    assert names_in(statement) == names


@pytest.mark.parametrize(
    ("statement", "quotes"),
    [
        ("No quotation here.", ()),
        ('He wrote "pay within ten days" there.', ("pay within ten days",)),
        ("He wrote \u201cpay within ten days\u201d there.", ("pay within ten days",)),
        ('Only "no" is too short.', ()),
        ("Caf\u00e9 without quotation.", ()),
    ],
)
def test_quotes_are_what_stands_in_quotation_marks(statement: str, quotes: tuple[str, ...]) -> None:
    assert quotes_in(statement) == quotes


@pytest.mark.parametrize(
    ("statement", "kind", "missing"),
    [
        ("It was Lovelace of Northlake Bank.", "names", ()),
        ("It was signed by Babbage.", "names", ("Babbage",)),
        ('It says "the daily limit is $25,000".', "quotes", ()),
        ('It says "the weekly limit is $25,000".', "quotes", ("the weekly limit is $25,000",)),
        ("It was on 3 July 2026.", "dates", ()),
        ("It was on 4 July 2026.", "dates", ("4 july 2026",)),
        ("The limit is $25,000.", "numbers", ()),
        ("The limit is $52,000.", "numbers", ("$52,000",)),
    ],
)
def test_an_anchor_is_supported_when_a_text_bears_it_out(statement: str, kind: str, missing: tuple[str, ...]) -> None:
    found = support_of(statement, [SOURCE])
    supported, present = getattr(found, kind)
    assert present >= 1
    assert present - supported == len(missing)
    assert tuple(one.strip() for one in found.missing) == missing
    assert found.present == sum(getattr(found, one)[1] for one in ("numbers", "dates", "names", "quotes"))


def test_without_a_text_nothing_is_supported_and_without_anchors_nothing_is_missing() -> None:
    assert support_of("It was signed by Babbage on 3 July 2026.", []).missing == ("3 july 2026", "Babbage")
    plain = support_of("it is so.", [])
    assert (plain.present, plain.missing) == (0, ())
    assert [share(one) for one in ((0, 0), (0, 2), (1, 2))] == [1.0, 0.0, 0.5]
