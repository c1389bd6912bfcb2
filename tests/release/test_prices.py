"""What an answer costs is the price of the model that gave it, whatever the workflow declares by now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotage.core.pins import PinKind
from pilotage.release.model import ModelSettings, Prices, Provider
from pilotage.testing.serving_path import content

OLD, NEW = Prices(input_nano=10, output_nano=20), Prices(input_nano=1, output_nano=2)
MODEL = ModelSettings(
    provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="2026-01-01", base_url="https://models.example/v1"
)
RELEASE = replace(content(), model=MODEL, prices=OLD)


def test_the_same_model_costs_what_the_workflow_says_now() -> None:
    assert RELEASE.prices_by(replace(MODEL, prices=NEW, max_tokens=7)) == NEW
    assert RELEASE.prices_by(replace(MODEL, prices=None)) is None


@pytest.mark.parametrize(
    "changed",
    [{"model": "n"}, {"pin": "2026-02-01"}, {"base_url": "https://other.example/v1"}, {"provider": Provider.WATSONX}],
    ids=["model", "pin", "place", "provider"],
)
def test_another_model_costs_what_was_said_when_it_was_sealed(changed: dict[str, str]) -> None:
    assert RELEASE.prices_by(replace(MODEL, prices=NEW, **changed)) == OLD  # type: ignore[arg-type]


def test_a_workflow_that_is_gone_leaves_the_sealed_price() -> None:
    assert RELEASE.prices_by(None) == OLD
    assert replace(RELEASE, prices=None).prices_by(None) is None


def test_a_price_of_embeddings_nobody_said_leaves_the_row_as_versions_before_wrote_it() -> None:
    assert OLD.as_row() == {"currency": "USD", "input_nano": 10, "output_nano": 20, "unmetered": None}
    assert replace(OLD, embedding_nano=3).as_row() == {**OLD.as_row(), "embedding_nano": 3}
