"""Where a sealed model and sealed documents stand is held against each space by one rule; unknown does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.corpus.conftest import settings

from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName, SpaceName
from pilotage.core.pins import PinKind
from pilotage.corpus.settings import DataStage
from pilotage.release.assemble import CorpusPin
from pilotage.release.model import ModelSettings, Provider
from pilotage.release.residency import (
    embedding_host,
    fits_embedding,
    floating_models,
    misplaced,
    outside_host,
    unlisted,
    unlisted_embedding,
    unlisted_providers,
)
from pilotage.release.subprocessors import as_lines, from_lines, listed_subprocessors
from pilotage.retrieval.settings import Embedding, Pooling
from pilotage.testing.serving_path import space

NAME = CorpusName("policies")
PINS = {DataStage.UAT: CorpusPin(name=NAME, version=1, digest=digest_of(b"1"), documents=1, chunks=1)}
EU = replace(space(SpaceName("eu-space")), regions=("eu-central-1",))
ANYWHERE = space(SpaceName("anywhere"))


def model(region: str | None, provider: Provider = Provider.OPENAI) -> ModelSettings:
    return ModelSettings(provider=provider, model="m", pin_kind=PinKind.DATED, pin="2026-01-01", region=region)


@pytest.mark.parametrize(
    ("one", "corpus", "told"),
    [
        (model("eu-west-1"), "global", []),
        (model("us-east-1"), "eu-central-1", ["eu-space: model in us-east-1"]),
        (model(None), "eu-central-1", ["eu-space: model in an unknown region"]),
        (model(None, Provider.EXTRACTIVE), "eu-central-1", []),
        (model("eu-west-1"), "us", ["eu-space: corpus policies in us"]),
        (model("eu-west-1"), None, ["eu-space: corpus policies in an unknown region"]),
        (model("us"), "us", ["eu-space: model in us", "eu-space: corpus policies in us"]),
    ],
    ids=["fits", "model elsewhere", "model nowhere", "built in", "documents elsewhere", "no such corpus", "both"],
)
def test_what_stands_outside_a_space_is_told(one: ModelSettings, corpus: str | None, told: list[str]) -> None:
    corpora = {} if corpus is None else {NAME: settings(NAME, region=corpus)}
    assert misplaced(one, PINS, embedding=None, spaces=[EU], corpora=corpora) == told
    assert misplaced(one, PINS, embedding=None, spaces=[ANYWHERE], corpora=corpora) == []


def test_a_space_that_reads_no_corpus_of_the_release_is_told_of_the_model_alone() -> None:
    other = replace(EU, data_stage=DataStage.PRODUCTION)
    assert misplaced(model("us"), PINS, embedding=None, spaces=[other], corpora={}) == ["eu-space: model in us"]


def outside(host: str | None, region: str | None = "eu-west-1") -> ModelSettings:
    return replace(model(region), base_url=None if host is None else f"https://{host}/v1")


LISTED = {"models.example": ("eu-west-1", "us-east-1"), "other.example": ("us-east-1",)}


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        (outside("models.example"), None),
        (outside("models.example", "us-east-1"), None),
        (outside("models.example", "eu-central-1"), "models.example is listed for eu-west-1, us-east-1"),
        (outside("models.example", None), "the model is in an unknown region"),
        (outside("other.example"), "other.example is listed for us-east-1"),
        (outside("models.example.evil.example"), "is not listed as a subprocessor"),
        (outside(None), "the model provider is not listed"),
        (outside("127.0.0.1"), None),
        (replace(outside("elsewhere.example"), provider=Provider.EXTRACTIVE), None),
    ],
    ids=["listed", "its other region", "another region", "no region", "region of another", "a longer host", "no host",
         "this machine", "built in"],
)  # fmt: skip
def test_a_provider_is_a_listed_subprocessor_in_a_listed_region(one: ModelSettings, problem: str | None) -> None:
    found = unlisted(one, LISTED)
    assert (found is None) if problem is None else (found is not None and problem in found)
    assert from_lines(as_lines(LISTED)) == LISTED


@pytest.mark.parametrize(
    "given",
    [
        "models.example",
        {"models.example": ["eu"]},
        ["models.example"],
        [{"name": "M", "host": "models.example"}],
        [{"name": "M", "host": "models.example", "regions": []}],
        [{"name": "M", "host": "models.example", "regions": "eu"}],
        [{"name": "M", "host": "https://models.example", "regions": ["eu"]}],
        [{"name": "", "host": "models.example", "regions": ["eu"]}],
        [{"name": "M", "host": "models.example", "regions": ["eu west"]}],
        [{"name": "M", "host": "m.example", "regions": ["eu"]}, {"name": "N", "host": "m.example", "regions": ["us"]}],
        [{"name": "M", "host": "models.example", "regions": ["eu"], "secret": "x"}],
    ],
)
def test_a_list_of_another_form_lists_nobody(given: Any) -> None:
    with pytest.raises(ValueError, match=r"subprocessor|regions"):
        listed_subprocessors({"subprocessors": given})
    assert listed_subprocessors({}) == {}


def test_subprocessors_read_back_from_the_lines_that_evidence_keeps() -> None:
    rows = [
        {"name": name, "host": host, "regions": ["eu-west-1", "us"]} for name, host in (("B", "b.eu"), ("A", "a.eu"))
    ]
    listed = listed_subprocessors({"subprocessors": rows})
    assert listed == {"a.eu": ("eu-west-1", "us"), "b.eu": ("eu-west-1", "us")}
    assert as_lines(listed) == ("a.eu eu-west-1 us", "b.eu eu-west-1 us")
    assert from_lines(as_lines(listed)) == listed


def embedding(host: str, region: str | None) -> Embedding:
    return Embedding(model="m", dimension=3, endpoint=f"https://{host}/v1/embeddings", region=region)


def test_an_embedding_model_sees_the_data_of_spaces_that_its_region_fits() -> None:
    for one, fitting in (
        (embedding("models.example", "eu-west-1"), True),
        (embedding("models.example", "us-east-1"), False),
        (embedding("127.0.0.1", None), False),
        (None, True),
    ):
        assert (fits_embedding(one, EU), fits_embedding(one, ANYWHERE)) == (fitting, True)


def test_a_misplaced_embedding_model_is_told_as_the_model_is() -> None:
    other = embedding("models.example", "us-east-1")
    assert misplaced(model("eu-west-1"), {}, embedding=other, spaces=[EU, ANYWHERE], corpora={}) == [
        f"{EU.name}: embedding model in us-east-1"
    ]
    assert misplaced(model("eu-west-1"), {}, embedding=embedding("models.example", None), spaces=[EU], corpora={}) == [
        f"{EU.name}: embedding model in an unknown region"
    ]


def test_both_providers_are_asked_for_and_the_same_reason_is_given_once() -> None:
    one = replace(model("eu-west-1"), base_url="https://a.example/v1")
    other = embedding("models.example", "eu-west-1")
    host = outside_host(one)
    assert host is not None
    assert unlisted_providers(one, embedding(host, "eu-west-1"), {}) == [f"{host} is not listed as a subprocessor"]
    assert unlisted_providers(one, embedding("new.example", None), {host: ("eu-west-1",)}) == [
        "new.example is not listed as a subprocessor"
    ]
    assert unlisted_providers(one, None, {host: ("eu-west-1",)}) == []
    assert embedding_host(other) == "models.example"


def test_a_model_from_a_folder_runs_where_we_run_and_is_nobodys_subprocessor() -> None:
    local = Embedding(model="m", dimension=3, path="models/m", pin_kind=PinKind.WEIGHTS, pin="sha256:1")
    assert (fits_embedding(local, EU), embedding_host(local), unlisted_embedding(local, {})) == (True, None, None)
    other = replace(local, max_tokens=256)
    assert len({local.key, other.key, replace(local, pin="sha256:2").key, replace(local, pooling=Pooling.CLS).key}) == 4


def test_a_model_without_a_pin_is_a_floating_one_whichever_of_the_two_it_is() -> None:
    pinned = replace(embedding("h.example", "eu"), pin_kind=PinKind.DATED, pin="2026-01-01")
    floating = replace(model("eu"), pin_kind=PinKind.FLOATING)
    assert floating_models(model("eu"), None) == ()
    assert floating_models(model("eu"), pinned) == ()
    assert floating_models(floating, pinned) == ("model",)
    assert floating_models(floating, embedding("h.example", "eu")) == ("model", "embedding model")


def test_the_provider_of_an_embedding_model_is_a_subprocessor_too() -> None:
    assert unlisted_embedding(embedding("models.example", "eu-west-1"), LISTED) is None
    assert "listed for us-east-1" in (unlisted_embedding(embedding("other.example", "eu-west-1"), LISTED) or "")
    assert "is not listed as a subprocessor" in (unlisted_embedding(embedding("new.example", "us"), LISTED) or "")
    assert [unlisted_embedding(one, {}) for one in (embedding("127.0.0.1", None), None)] == [None] * 2
