"""One contract for every model: text in pieces, at most one usage, exactly one end (release/generation.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from pilotage.adapters.models.extractive import ExtractiveModel
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.adapters.models.registry import ModelParts, build_model
from pilotage.core.errors import Unavailable
from pilotage.core.pins import PinKind
from pilotage.release.generation import Delta, Done, FinishReason, GenerationRequest, Message, Model, Passage, Usage
from pilotage.release.model import ModelSettings, Provider
from pilotage.retrieval.settings import MinimumCoverage
from pilotage.testing.models import FakeModel
from pilotage.testing.upstream import FakeUpstream, streamed

pytestmark = pytest.mark.anyio
PASSAGE = Passage(
    marker=1, document="errors", title="Errors", section="1", ordinal=0, rev=0, text="Ten business days are the limit."
)
REQUEST = GenerationRequest(
    messages=(Message(role="user", content="How many days?"),), question="How many days?", passages=(PASSAGE,)
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def first_sentence(request: GenerationRequest, coverage: MinimumCoverage, language: str) -> str | None:
    del coverage, language
    return f"{request.passages[0].text} [1]" if request.passages else None


def settings(provider: Provider, url: str | None = None) -> ModelSettings:
    return ModelSettings(provider=provider, model="m", pin_kind=PinKind.BUILTIN, pin="1", base_url=url)


@asynccontextmanager
async def fake() -> AsyncIterator[Model]:
    yield FakeModel(pieces=["Ten business days ", "are the limit. [1]"])


@asynccontextmanager
async def extractive() -> AsyncIterator[Model]:
    yield ExtractiveModel(first_sentence, coverage=MinimumCoverage(), language="en")


@asynccontextmanager
async def openai() -> AsyncIterator[Model]:
    async with FakeUpstream(streamed("Ten business days ", "are the limit. [1]")) as upstream:
        model = OpenAICompatibleModel(settings(Provider.OPENAI, upstream.url), root=Path("/nonexistent"))
        yield model
        await model.close()


MODELS = pytest.mark.parametrize("make", [fake, extractive, openai])
Make = Callable[[], AbstractAsyncContextManager[Model]]


@MODELS
async def test_a_stream_is_deltas_then_one_usage_then_one_end(make: Make) -> None:
    async with make() as model:
        events = [event async for event in model.generate(REQUEST)]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "Ten business days are the limit. [1]"
    assert [type(event) for event in events if not isinstance(event, Delta)] == [Usage, Done]
    assert isinstance(events[-1], Done)
    assert events[-1].finish is FinishReason.STOP


@MODELS
async def test_it_counts_probes_and_closes_twice(make: Make) -> None:
    async with make() as model:
        assert model.count("one two three") > 0
        assert model.count("one two three four five six") > model.count("one")
        await model.probe()
        await model.close()
        await model.close()


async def test_the_extractive_model_says_that_it_found_nothing_and_is_deterministic() -> None:
    nothing = GenerationRequest(messages=REQUEST.messages, question=REQUEST.question, passages=())
    async with extractive() as model:
        runs = [[event async for event in model.generate(nothing)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0][-1] == Done(finish=FinishReason.NOT_FOUND, model="extractive")


def test_settings_become_the_model_they_name_or_a_clear_error() -> None:
    parts = ModelParts(extract=first_sentence, root=Path("/nonexistent"))

    def built(provider: Provider, url: str | None = None) -> Model:
        return build_model(settings(provider, url), parts, coverage=MinimumCoverage(), language="en")

    assert isinstance(built(Provider.EXTRACTIVE), ExtractiveModel)
    assert isinstance(built(Provider.OPENAI, "http://127.0.0.1:9"), OpenAICompatibleModel)
    with pytest.raises(Unavailable, match="is not installed in this build"):
        built(Provider.WATSONX)
    with pytest.raises(Unavailable, match="base_url"):
        built(Provider.OPENAI)
