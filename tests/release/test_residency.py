"""Where a sealed model and sealed documents stand is held against each space by one rule; unknown does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.corpus.conftest import settings

from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName, SpaceName
from pilotage.corpus.settings import DataStage
from pilotage.release.assemble import CorpusPin
from pilotage.release.model import ModelSettings, PinKind, Provider
from pilotage.release.residency import misplaced
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
    assert misplaced(one, PINS, spaces=[EU], corpora=corpora) == told
    assert misplaced(one, PINS, spaces=[ANYWHERE], corpora=corpora) == []


def test_a_space_that_reads_no_corpus_of_the_release_is_told_of_the_model_alone() -> None:
    other = replace(EU, data_stage=DataStage.PRODUCTION)
    assert misplaced(model("us"), PINS, spaces=[other], corpora={}) == ["eu-space: model in us"]
