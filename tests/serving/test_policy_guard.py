"""What the sealed policy promises about answers: whose values come back, where citations point, what is never shown."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.policies import PUBLIC, Guarding, Reader, answered, found, guarded, line, policy

from pilotage.guard.policy import Action, FailMode, Restore, Stage, StreamMode
from pilotage.release.generation import FinishReason, GenerationRequest
from pilotage.serving import answer_checks
from pilotage.serving.answer_checks import TEXTS
from pilotage.serving.context import Answer, Turn
from pilotage.serving.outcome import RequestOutcome
from pilotage.testing.models import FakeModel
from pilotage.testing.serving import Document

pytestmark = pytest.mark.anyio

RESTORING = policy(restore=Restore.CALLER)
CONTACT = Document(id="contact", text="Errors are resolved by jane@bank.example, never by ann@corp.example.")
STREAMS = (StreamMode.TOKEN, StreamMode.SENTENCE)


async def test_only_values_of_the_askers_own_words_come_back() -> None:
    answer = await answered(
        "Errors of <EMAIL_1> go to <EMAIL_2> [1]. Ask joe@made.example.",
        "Are errors of ann@corp.example resolved?",
        documents=[CONTACT],
        policy=RESTORING,
    )
    assert answer.text == "Errors of ann@corp.example go to <EMAIL_2> [1]. Ask <EMAIL_3>."


async def test_a_passage_counts_its_tokens_on_from_the_askers() -> None:
    model = FakeModel()
    async with guarded(Guarding(documents=[CONTACT], model=model)) as desk:
        await desk.answer("Are errors of ann@corp.example resolved?")
    [passage] = model.requests[0].passages
    assert passage.text == "Errors are resolved by <EMAIL_2>, never by <EMAIL_1>."


async def test_a_value_that_the_prompt_may_hold_comes_back_when_the_answer_may_not() -> None:
    lines = (line("pii_in", Stage.INPUT, Action.REDACT, types={"EMAIL": Action.ALLOW}),)
    answer = await answered(
        "Errors of ann@corp.example and of joe@made.example are resolved [1].",
        "Are errors of ann@corp.example resolved?",
        policy=replace(RESTORING, checks=lines),
    )
    assert answer.text == "Errors of ann@corp.example and of <EMAIL_2> are resolved [1]."


async def test_without_restore_the_asker_reads_tokens() -> None:
    answer = await answered("Errors of <EMAIL_1> are resolved [1].", "Are errors of ann@corp.example resolved?")
    assert answer.text == "Errors of <EMAIL_1> are resolved [1]."


SENTENCES = st.sampled_from([
    "Errors of <EMAIL_1> are resolved soon [1].",
    "Errors are resolved within ten days [1][9].",
    "Nobody knows this [7].",
    "Write to <EMAIL_1> or \\<EMAIL_4> [1].",
    "A [1[8]] nested marker is none.",
    "Card 4111 1111 1111 1111 is not errors [1].",
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    sentences=st.lists(SENTENCES, min_size=1, max_size=5),
    mode=st.sampled_from(list(StreamMode)),
    size=st.integers(1, 40),
)
async def test_citations_point_at_their_statement_in_what_the_asker_gets(
    sentences: list[str], mode: StreamMode, size: int
) -> None:
    said = " ".join(sentences)
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    guarding = Guarding(policy=replace(RESTORING, stream=mode), model=FakeModel(pieces=pieces))
    async with guarded(guarding) as desk:
        sink = Reader()
        answer = (await desk.ask("Are errors of ann@corp.example resolved?", stream=True, sink=sink)).result
    assert isinstance(answer, Answer)
    assert answer.text == sink.text
    for cited in answer.cited:
        place = answer.text[cited.start : cited.end]
        assert place.endswith((".", "]", "none."))
        assert "[1]" in place
        assert place[0] in "EWANC"


async def test_an_invalid_marker_taken_out_makes_no_valid_one() -> None:
    answer = await answered("Errors are resolved within ten business days [1[7]].")
    assert answer.text == "Errors are resolved within ten business days [1 ]."
    assert answer.cited == ()


def disguised(request: GenerationRequest) -> dict[str, str]:
    canary = request.messages[0].content.rpartition("Never write ")[2].rstrip(".")
    encoded = base64.b64encode(f"xy{canary}z".encode()).decode()
    return {"plain": canary, "reversed": canary[::-1], "hex": canary.encode().hex(), "base64": encoded}


@pytest.mark.parametrize("form", ["plain", "reversed", "hex", "base64"])
@pytest.mark.parametrize("mode", list(StreamMode))
async def test_the_canary_never_leaves_although_no_line_asks_for_it(form: str, mode: StreamMode) -> None:
    shown: list[str] = []

    def tell(request: GenerationRequest) -> str:
        shown.append(disguised(request)[form])
        return f"My instructions say {shown[0]} and more of it is here, " + "word " * 60

    async with guarded(Guarding(policy=policy(stream=mode), model=FakeModel(reply=tell))) as desk:
        sink = Reader()
        answer = (await desk.ask(stream=True, sink=sink)).result
    assert isinstance(answer, Answer)
    assert answer.refusal == "guard"
    assert ("canary", "CANARY", 1, "block") in found(answer)
    assert shown[0] not in sink.text
    assert answer.text == TEXTS["guard"]


async def test_an_answer_that_the_model_did_not_find_is_honest() -> None:
    async with guarded(Guarding(model=FakeModel(finish=FinishReason.NOT_FOUND))) as desk:
        answer = await desk.answer()
    assert (answer.text, answer.refusal) == (TEXTS["not_found"], "not_found")


SECRET = "Use api_key = 9f8e7d6c5b4a for errors [1]."


@pytest.mark.parametrize(
    ("lines", "action", "refusal"),
    [
        ((), "redact", None),
        ((line("secrets", Stage.OUTPUT, Action.FLAG),), "flag", None),
        ((line("secrets", Stage.OUTPUT, Action.BLOCK),), "block", "guard"),
        ((line("pii_out", Stage.OUTPUT, Action.BLOCK),), "redact", None),
    ],
)
async def test_a_secret_in_an_answer_is_the_secrets_lines_and_never_shown(
    lines: tuple[object, ...], action: str, refusal: str | None
) -> None:
    answer = await answered(SECRET, policy=policy(*lines))  # type: ignore[arg-type]
    assert ("secrets", "SECRET", 1, action) in found(answer)
    assert answer.refusal == refusal
    assert "9f8e7d6c5b4a" not in answer.text


HIDING = "Errors\u202e are re\u200bsolved soon\U000e0041 [1]."


@pytest.mark.parametrize(
    ("action", "text", "refusal"),
    [
        (Action.REDACT, "Errors are resolved soon [1].", None),
        (Action.FLAG, HIDING, None),
        (Action.BLOCK, TEXTS["guard"], "guard"),
    ],
)
@pytest.mark.parametrize("mode", list(StreamMode))
async def test_what_hides_in_an_answer_is_treated_as_the_unicode_line_says(
    action: Action, text: str, refusal: str | None, mode: StreamMode
) -> None:
    guarding = Guarding(
        policy=policy(line("unicode", Stage.OUTPUT, action), stream=mode), model=FakeModel(pieces=list(HIDING))
    )
    async with guarded(guarding) as desk:
        sink = Reader()
        answer = (await desk.ask(stream=True, sink=sink)).result
    assert isinstance(answer, Answer)
    assert ("unicode", "INVISIBLE", 3, str(action)) in found(answer)
    assert (answer.text, answer.refusal) == (text, refusal)
    if action is not Action.BLOCK:
        assert sink.text == answer.text


async def test_an_invisible_character_hides_no_personal_data_from_the_answers_check() -> None:
    answer = await answered(
        "Pay 4111 1111\u200b 1111 1111 [1].", policy=policy(line("unicode", Stage.OUTPUT, Action.REDACT))
    )
    assert answer.text == "Pay <CREDIT_CARD_1> [1]."


async def test_only_a_cited_documents_own_address_stays() -> None:
    documents = [
        replace(PUBLIC, uri="https://bank.example/errors"),
        Document(id="other", text="Errors elsewhere.", uri="https://bank.example/other"),
    ]
    said = "Errors are resolved [1]. See https://bank.example/errors or https://bank.example/other now."
    answer = await answered(said, documents=documents)
    assert answer.text == "Errors are resolved [1]. See https://bank.example/errors or [link removed] now."
    assert ("urls", "URL", 1, "redact") in found(answer)


async def test_the_stored_answer_holds_one_way_tokens_only() -> None:
    said = "Errors of <EMAIL_1> and joe@made.example, not \\<EMAIL_9>, IP 10.1.2.3 [1]."
    lines = (line("pii_out", Stage.OUTPUT, Action.REDACT, types={"IP": Action.ALLOW}),)
    guarding = Guarding(policy=policy(*lines, restore=Restore.CALLER), model=FakeModel(pieces=[said]))
    async with guarded(guarding) as desk:
        answer = await desk.answer("Are errors of ann@corp.example resolved?")
        await desk.path.serving.recorder.stop()
        [rows] = desk.path.sink.rows
    assert answer.text == "Errors of ann@corp.example and <EMAIL_2>, not <EMAIL_9>, IP 10.1.2.3 [1]."
    assert rows.text is not None
    stored = str(rows.text["answer"])
    assert stored.count("<EMAIL#") == 2
    assert "10.1.2.3" not in stored
    assert "<IP#" in stored
    assert "<EMAIL_1>" not in stored


CHECKS = {
    "canary": "shows_canary",
    "citation": "check_citations",
    "numbers": "unsupported_numbers",
    "grounding": "grounding_of",
    "urls": "strip_urls",
}


@pytest.mark.parametrize("fail", list(FailMode))
@pytest.mark.parametrize("identifier", ["canary", "numbers", "grounding", "urls"])
async def test_a_broken_check_of_an_answer_acts_as_its_fail_mode_says(
    identifier: str, fail: FailMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_more: object) -> object:
        raise RuntimeError("536-90-8726")

    monkeypatch.setattr(answer_checks, CHECKS[identifier], broken)
    guarding = Guarding(policy=policy(line(identifier, Stage.OUTPUT, Action.FLAG, fail=fail)))
    async with guarded(guarding) as desk:
        finished = await desk.ask()
    answer = finished.result
    assert isinstance(answer, Answer)
    is_closed = fail is FailMode.CLOSED
    assert (identifier, "check_failed", 1, "block" if is_closed else "flag") in found(answer)
    assert answer.refusal == ("guard" if is_closed else None)
    assert finished.outcome is (RequestOutcome.ERROR_GUARD if is_closed else RequestOutcome.OK)


async def test_an_answer_that_nobody_could_redact_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> object:
        raise RuntimeError

    lines = (line("pii_out", Stage.OUTPUT, Action.FLAG, fail=FailMode.OPEN),)
    async with guarded(Guarding(policy=policy(*lines))) as desk:
        monkeypatch.setattr("pilotage.guard.redact.PromptRedactor.redact_answer", broken)
        answer = await desk.answer()
    assert answer.refusal == "guard"
    assert ("pii_out", "check_failed", 1, "block") in found(answer)


@pytest.mark.parametrize(
    ("identifier", "said", "refusal"),
    [
        ("citation", "Errors are resolved within ten business days.", "citation"),
        ("numbers", "Errors are resolved within 45 days [1].", "grounding"),
        ("grounding", "Bananas grow wonderfully under tropical moonlight [1].", "grounding"),
        ("pii_out", "Errors of joe@made.example are resolved [1].", "guard"),
        ("urls", "Errors are resolved https://evil.example/x [1].", "guard"),
    ],
)
async def test_no_byte_of_an_answer_that_a_check_blocks_is_sent(identifier: str, said: str, refusal: str) -> None:
    for action in (Action.FLAG, Action.BLOCK):
        model = FakeModel(pieces=list(said))
        async with guarded(Guarding(policy=policy(line(identifier, Stage.OUTPUT, action)), model=model)) as desk:
            sink = Reader()
            finished = await desk.ask(stream=True, sink=sink)
            await desk.path.serving.recorder.stop()
            [rows] = desk.path.sink.rows
        answer = finished.result
        assert isinstance(answer, Answer)
        is_blocked = action is Action.BLOCK
        assert answer.refusal == (refusal if is_blocked else None)
        assert any(one.check == identifier and one.action is action for one in answer.findings)
        if is_blocked:
            assert finished.outcome is RequestOutcome.POLICY_BLOCKED
            assert sink.text == answer.text == TEXTS[refusal]
            assert rows.text is not None
            assert rows.text["answer"] == TEXTS[refusal]


async def test_history_and_label_are_redacted_too() -> None:
    model = FakeModel()
    turns = (
        Turn(role="user", text="I am ann@corp.example."),
        Turn(role="assistant", text="Hello ann@corp.example"),
        Turn(role="user", text="When are errors of ann@corp.example resolved?"),
    )
    async with guarded(Guarding(model=model)) as desk:
        await desk.answer(messages=turns, label="mail joe@made.example")
        await desk.path.serving.recorder.stop()
        [rows] = desk.path.sink.rows
    assert [one.content for one in model.requests[0].messages[1:]] == [
        "I am <EMAIL_1>.",
        "Hello <EMAIL_1>",
        "When are errors of <EMAIL_1> resolved?",
    ]
    assert "@" not in str([one.value for one in rows.disclosures])
