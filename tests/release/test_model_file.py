"""`model.yaml`, read whole or refused with every mistake: which model, how pinned, where it answers, its price."""

from __future__ import annotations

import pytest

from pilotage.core.canonical import Json
from pilotage.core.errors import InvalidFiles
from pilotage.core.located import Problems, from_plain
from pilotage.core.pins import PinKind
from pilotage.release.model import ModelSettings, Prices, Provider
from pilotage.release.model_file import EXTRACTIVE_MODEL, parse_model, parse_prices

OPENAI: dict[str, Json] = {
    "provider": "openai",
    "model": "small",
    "pin": {"kind": "dated", "id": "2026-01-01"},
    "base_url": "https://models.example/v1",
    "auth": "env:MODEL_KEY",
}
WATSONX: dict[str, Json] = {**OPENAI, "provider": "watsonx", "project_id": "p"}
NO_PIN = {name: value for name, value in OPENAI.items() if name != "pin"}


def read(value: dict[str, Json]) -> ModelSettings:
    problems = Problems()
    found = parse_model(from_plain(value, file="model.yaml"), problems)
    problems.raise_if_any()
    return found


def mistakes(value: dict[str, Json]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidFiles) as caught:
        read(value)
    return [(one.what, one.hint) for one in caught.value.problems]


def test_the_built_in_model_needs_nothing_but_its_name() -> None:
    found = read({"provider": "extractive"})
    assert (found.provider, found.model) == (Provider.EXTRACTIVE, EXTRACTIVE_MODEL)
    assert (found.pin_kind, found.pin) == (PinKind.BUILTIN, EXTRACTIVE_MODEL)
    assert (found.connect_s, found.first_token_s, found.between_tokens_s, found.total_s) == (2.0, 20.0, 15.0, 120.0)


def test_a_remote_model_is_read_as_it_is_written() -> None:
    found = read({**OPENAI, "timeouts": {"connect": "1s"}, "parameters": {"temperature": 0}, "max_tokens": 9})
    assert (found.model, found.pin_kind, found.pin) == ("small", PinKind.DATED, "2026-01-01")
    assert (found.base_url, found.auth_ref) == ("https://models.example/v1", "env:MODEL_KEY")
    assert (found.connect_s, found.first_token_s) == (1.0, 20.0)
    assert (found.parameters, found.max_tokens, found.prices) == ({"temperature": 0}, 9, None)


@pytest.mark.parametrize(
    ("written", "prices"),
    [
        (
            {"input": 0.15, "output": 0.6, "embedding": 0.02},
            Prices(input_nano=150, output_nano=600, embedding_nano=20),
        ),
        ({"unmetered": "ours", "embedding": 0.02}, Prices(unmetered="ours", embedding_nano=20)),
        ({"input": 0.15, "output": "0.6"}, Prices(input_nano=150, output_nano=600)),
        ({"input": 1, "output": 0.001, "currency": "EUR"}, Prices(currency="EUR", input_nano=1000, output_nano=1)),
        ({"unmetered": "our own machines"}, Prices(unmetered="our own machines")),
    ],
    ids=["with embeddings", "unmetered answers", "dollars", "euros", "unmetered"],
)
def test_prices_of_a_million_tokens_are_held_in_billionths_of_one(written: dict[str, Json], prices: Prices) -> None:
    assert read({**OPENAI, "prices": written}).prices == prices


@pytest.mark.parametrize(
    ("value", "what", "hint"),
    [
        ({**OPENAI, "model": None}, "'model' is missing", "Write the id of the model"),
        ({**OPENAI, "base_url": None}, "'base_url' is missing", "https://host/v1"),
        (NO_PIN, "'pin' is missing", "Write `pin: ...`."),
        ({**OPENAI, "pin": {"kind": "builtin", "id": "1"}}, "Only the extractive model is built in", "kind: dated"),
        ({**OPENAI, "pin": {"kind": "weights", "id": "abc"}}, "A pin of kind weights cannot be 'abc'", "64 lowercase"),
        ({**OPENAI, "pin": {"kind": "revision", "id": "abc"}}, "A pin of kind revision cannot be", "40 hex digits"),
        ({**OPENAI, "prices": {"input": 0.1234, "output": 1}}, "'input' has more than 3 decimals", "such as 0.15"),
        ({**WATSONX, "project_id": None}, "watsonx needs exactly one of", "Write one of them."),
        ({**WATSONX, "space_id": "s"}, "watsonx needs exactly one of", "Write one of them."),
    ],
)
def test_a_mistake_is_told_with_what_to_write(value: dict[str, Json], what: str, hint: str) -> None:
    ((told, todo),) = mistakes(value)
    assert what in told
    assert hint in todo


@pytest.mark.parametrize(
    "pin",
    [{"kind": "weights", "id": "sha256:" + "0" * 64}, {"kind": "revision", "id": "a" * 40}],
    ids=["hash", "commit"],
)
def test_a_pin_of_bytes_is_the_whole_digest(pin: dict[str, Json]) -> None:
    assert read({**WATSONX, "pin": pin}).pin == pin["id"]


def test_prices_alone_are_read_as_a_model_file_writes_them() -> None:
    problems = Problems()
    value: Json = {"input": 0.15, "output": 0.6}
    assert parse_prices(from_plain(value, file="prices"), problems) == Prices(input_nano=150, output_nano=600)
    parse_prices(from_plain({"input": "a"}, file="prices"), problems)
    assert [name for one in problems.found for name in ("input", "output") if f"'{name}'" in one.what] == [
        "input",
        "output",
    ]


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes({"provider": "openai", "pin": {"kind": "weights", "id": "x"}, "prices": {"input": 0.0001}})
    assert len(found) == 5
