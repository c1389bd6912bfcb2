"""A model whose price nobody said is not asked: 503 `model_unpriced`, and an error of the release (serving.md 3.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.control.rollout_world import bank

from pilotage.core.pins import PinKind
from pilotage.release.generation import Usage
from pilotage.release.model import ModelSettings, Prices, Provider
from pilotage.retrieval.settings import Embedding
from pilotage.serving.context import Answer
from pilotage.serving.outcome import RequestOutcome
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import tokens_of
from pilotage.testing.desk import opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import WORKFLOW, Plan, content, make_path
from pilotage.workspace.workflow import Unpriced

pytestmark = pytest.mark.anyio
HOSTED = ModelSettings(provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="1", base_url="https://m.test")
PRICED = Prices(input_nano=150, output_nano=600)


async def test_a_model_without_a_price_is_not_asked_and_the_release_is_at_fault() -> None:
    model = FakeModel()
    async with opened(Plan(model=model, content=content(model=HOSTED))) as desk:
        finished = await desk.ask()
    assert isinstance(finished.result, Refusal)
    assert finished.result.code is Code.MODEL_UNPRICED
    assert "workflow's owner" in finished.result.message
    assert finished.outcome is RequestOutcome.ERROR_SERVER
    assert model.requests == []


@pytest.mark.parametrize(
    ("settings", "prices"),
    [
        pytest.param(HOSTED, PRICED, id="priced when sealed"),
        pytest.param(HOSTED, Prices(unmetered="our own machine"), id="unmetered for a written reason"),
        pytest.param(replace(HOSTED, provider=Provider.EXTRACTIVE), None, id="the built-in model"),
    ],
)
async def test_a_model_that_is_priced_or_free_answers(settings: ModelSettings, prices: Prices | None) -> None:
    async with opened(Plan(content=content(model=settings, prices=prices))) as desk:
        assert isinstance((await desk.ask()).result, Answer)


@pytest.mark.parametrize(
    ("rule", "declared", "answers"),
    [
        pytest.param(Unpriced.ALLOW, HOSTED, True, id="allowed"),
        pytest.param(Unpriced.REJECT, HOSTED, False, id="rejected"),
        pytest.param(Unpriced.REJECT, replace(HOSTED, prices=PRICED), True, id="priced since"),
        pytest.param(Unpriced.REJECT, replace(HOSTED, model="another", prices=PRICED), False, id="another is priced"),
    ],
)
def test_the_workflow_says_what_it_costs_and_whether_it_must_say(
    rule: Unpriced, declared: ModelSettings, answers: bool
) -> None:
    workflow = bank().workflows[WORKFLOW]
    workflow = replace(workflow, model=declared, budgets=replace(workflow.budgets, unpriced=rule))
    serving = make_path().serving
    serving = replace(serving, workspace=replace(serving.workspace, workflows={WORKFLOW: workflow}))
    assert serving.is_unpriced(content(model=HOSTED)) is not answers


def embedding(host: str = "vectors.example") -> Embedding:
    return Embedding(model="e", dimension=3, endpoint=f"https://{host}/v1/embeddings")


USED = Usage(prompt_tokens=10, completion_tokens=2)
BOTH = replace(PRICED, embedding_nano=20)
FREE = Prices(unmetered="our own machine")
EXTRACTIVE = replace(HOSTED, provider=Provider.EXTRACTIVE)


@pytest.mark.parametrize(
    ("model", "prices", "vectors", "cost"),
    [
        pytest.param(HOSTED, BOTH, embedding(), 10 * 150 + 2 * 600 + 7 * 20, id="both priced"),
        pytest.param(HOSTED, PRICED, embedding(), None, id="no price of the embedding"),
        pytest.param(HOSTED, PRICED, embedding("127.0.0.1"), 10 * 150 + 2 * 600, id="on this machine"),
        pytest.param(HOSTED, PRICED, None, 10 * 150 + 2 * 600, id="by words"),
        pytest.param(HOSTED, None, embedding(), None, id="nothing priced"),
        pytest.param(HOSTED, replace(FREE, embedding_nano=20), embedding(), 7 * 20, id="answers unmetered"),
        pytest.param(HOSTED, FREE, embedding("127.0.0.1"), None, id="nothing metered"),
        pytest.param(EXTRACTIVE, BOTH, embedding(), 10 * 150 + 2 * 600 + 7 * 20, id="as declared"),
        pytest.param(EXTRACTIVE, None, embedding("127.0.0.1"), None, id="built in"),
    ],
)
async def test_what_the_embedding_model_was_asked_is_part_of_the_price(
    model: ModelSettings, prices: Prices | None, vectors: Embedding | None, cost: int | None
) -> None:
    release = content(model=model, prices=prices)
    release = replace(release, retrieval=replace(release.retrieval, embedding=vectors))
    async with opened(Plan(content=release)) as desk:
        assert desk.path.serving.cost_nano(release, USED, embedded=7) == cost


def test_a_text_is_a_token_for_every_three_bytes_or_part_of_them() -> None:
    assert [tokens_of(text) for text in ("", "a", "abc", "abcd", "\u00e4\u00e4")] == [0, 1, 1, 2, 2]


def test_a_price_of_embeddings_nobody_said_leaves_the_row_as_it_was() -> None:
    assert PRICED.as_row().keys() == {"currency", "input_nano", "output_nano", "unmetered"}
    assert Prices(**BOTH.as_row()) == BOTH  # type: ignore[arg-type]
