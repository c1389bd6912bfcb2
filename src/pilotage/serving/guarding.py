"""The real guard of the serving path: a release's sealed policy over the guard room's checks (serving.md 5).

Every check acts as its policy line says. Fail mode: an exception in a check that fails closed blocks, which is a
refusal with the reason `guard`; one that fails open becomes the finding `check_failed`. What is stored or sent is
always redacted, whatever the policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from pilotage.adapters.keyring import Keyring
from pilotage.corpus.analyser import analyse
from pilotage.corpus.inspection import Inspected
from pilotage.guard.canary import shows_canary
from pilotage.guard.clean import Cleaned, clean
from pilotage.guard.extractive import Source, extract
from pilotage.guard.finding import Finding
from pilotage.guard.holdback import HoldBack
from pilotage.guard.pii_recognise import recognise, select
from pilotage.guard.pii_types import PiiType
from pilotage.guard.policy import Action, Check, GuardPolicy, Restore, Stage
from pilotage.guard.redact import PromptRedactor, stored_form, without_tokens
from pilotage.guard.tripwire import count_tripwires
from pilotage.release.generation import GenerationRequest
from pilotage.retrieval.settings import MinimumCoverage
from pilotage.serving.answer_checks import AnswerChecks
from pilotage.serving.context import Composed, Generated, Guarded, Question, Retrieval, Routed, Turn, Verdict
from pilotage.serving.passage_checks import PassageChecks
from pilotage.serving.passage_memo import PassageMemo
from pilotage.serving.policy_lines import THRESHOLD, check_of, failed, findings_of, line_of, rules_of
from pilotage.serving.refusal import Code, Refusal
from pilotage.workspace.records import Workspace

STORED_KEY: Final = "pii-token/stored/v1"
UAT_KEY: Final = "pii-token/uat/v1"
_TOO_LONG: Final = "TOO_LONG"


class PolicyGuard:
    """`serving.ports.Guard`."""

    def __init__(self, workspace: Workspace, keyring: Keyring) -> None:
        self._workspace = workspace
        self._key = keyring.derive(STORED_KEY)
        self._passages = PassageMemo()
        recognise("0")  # compile the forms now, not in somebody's first question

    def check_question(self, context: Routed) -> Question | Refusal:
        """Clean up, redact and judge the asker's words. A blocked question is a value: it gets a fixed answer."""
        policy = context.release.content.guard
        try:
            return self._question(context, policy)
        except Exception as error:  # noqa: BLE001 - redaction always fails closed: nothing of the text is kept
            broken = failed(line_of(policy, "pii_in", Stage.INPUT, otherwise=Action.REDACT), error)
            nothing = (Turn(role="user", text=""),)
            return Question(text="", turns=nothing, stored="", label="", findings=(broken,), blocked_by=broken.check)

    def _question(self, context: Routed, policy: GuardPolicy) -> Question | Refusal:
        redactor = PromptRedactor(rules_of(policy, "pii_in", Stage.INPUT))
        findings: list[Finding] = []
        turns: list[Turn] = []
        cleaned = clean("")
        for number, turn in enumerate(context.asked.messages):
            cleaned = clean(turn.text)
            redacted = redactor.redact(cleaned.text)
            turns.append(turn if redacted.text == turn.text else replace(turn, text=redacted.text))
            for line in policy.checks:
                if line.stage is Stage.INPUT:
                    found = findings_of(line, partial(_seen, line, cleaned, redacted.counts))
                    if found:
                        findings += [replace(one, where=f"messages[{number}]") for one in found]
        blocking = next((one for one in findings if one.action is Action.BLOCK), None)
        if blocking is not None and blocking.type == _TOO_LONG:
            message = "This message is longer than the release reads."
            return Refusal(code=Code.QUESTION_TOO_LONG, message=message, param=f"{blocking.where}.content")
        return Question(
            text=turns[-1].text,
            turns=tuple(turns),
            stored=stored_form(cleaned.text, self._key).text,  # whatever the policy allows in a prompt
            label=stored_form(clean(context.asked.label).text, self._key).text if context.asked.label else "",
            findings=tuple(findings),
            blocked_by=None if blocking is None else blocking.check,
        )

    def check_passages(self, context: Guarded, retrieval: Retrieval) -> Retrieval:
        """Redact passages before a model sees them; drop or flag those that try to instruct it."""
        policy = context.release.content.guard
        return PassageChecks(policy=policy, redactor=self._asking(context), memo=self._passages).run(retrieval)

    def check_answer(self, context: Generated) -> Verdict:
        """Judge the whole answer."""
        language = self._language(context)
        return AnswerChecks(
            context=context,
            redactor=self._answering(context),
            key=self._key,
            analyse=lambda text: analyse(text, language=language),
        ).run()

    def hold_back(self, context: Composed) -> HoldBack:
        """Return the redactor of one stream. Nothing leaves any more once the canary shows."""
        policy = context.release.content.guard
        line = check_of(policy, "unicode", Stage.OUTPUT)
        return HoldBack(
            self._answering(context),
            restores=policy.restore is Restore.CALLER,
            cleans=line is not None and line.action is Action.REDACT,
            stops=lambda text: shows_canary(text, context.canary),
        )

    def _asking(self, context: Guarded) -> PromptRedactor:
        """Return a redactor that knows the asker's values, so that equal values keep their tokens."""
        redactor = PromptRedactor(rules_of(context.release.content.guard, "pii_in", Stage.INPUT))
        for turn in context.asked.messages:
            redactor.redact(clean(turn.text).text)
        return redactor

    def _answering(self, context: Composed) -> PromptRedactor:
        """Return a redactor that also knows which tokens the passages have, and the asker's values by output rules."""
        redactor = self._asking(context)
        for passage in context.prompt.passages:
            for part in (passage.title, passage.section, passage.heading, passage.text):
                redactor.expect(part)
        rules = rules_of(context.release.content.guard, "pii_out", Stage.OUTPUT)
        if rules != redactor.rules:
            redactor.rules = rules
            for turn in context.asked.messages:
                redactor.redact(clean(turn.text).text)
        return redactor

    def _language(self, context: Guarded) -> str:
        pin = context.release.content.corpora.get(context.place.space.data_stage)
        settings = None if pin is None else self._workspace.corpora.get(pin.name)
        return "en" if settings is None else settings.language


def _seen(line: Check, cleaned: Cleaned, counts: Mapping[str, int]) -> dict[str, int]:
    """Return what one input check sees: kind to count."""
    match line.id:
        case "pii_in":
            return {kind: count for kind, count in counts.items() if kind != PiiType.SECRET}
        case "secrets":
            return {kind: count for kind, count in counts.items() if kind == PiiType.SECRET}
        case "unicode":
            return {"unicode_abuse": 1} if cleaned.is_abuse else {}
        case "tripwire":
            alarms = count_tripwires(cleaned.text)
            return {"INSTRUCTION": alarms} if alarms else {}
        case "size":
            limit = line.threshold or float("inf")
            return {_TOO_LONG: 1} if len(cleaned.text) > limit else {}
        case _:
            return {}


def extract_answer(request: GenerationRequest, coverage: MinimumCoverage, language: str) -> str | None:
    """Select the extractive answer: `adapters.models.extractive.Extract`."""
    sources = [Source(marker=one.marker, heading=one.heading, text=one.text) for one in request.passages]
    return extract(
        without_tokens(request.question),
        sources,
        dict(request.idf),
        analyse=lambda text: analyse(text, language=language),
        minimum=(coverage.best, coverage.union),
    )


def inspect_document(text: str) -> Inspected:
    """Count structured PII and tripwire alarms of a document for the quality report."""
    found = select(recognise(text), threshold=THRESHOLD, types={})
    return Inspected(pii=dict(Counter(one.type.value for one in found)), tripwires=count_tripwires(text))


def redact_for_storage(keyring: Keyring) -> Callable[[str], str]:
    """Return the redaction of text that people write about answers: feedback, corrections."""
    key = keyring.derive(STORED_KEY)
    return lambda text: stored_form(clean(text).text, key).text


def uat_redaction(keyring: Keyring) -> Callable[[str], str]:
    """Return the one-way redaction of documents that become UAT data."""
    key = keyring.derive(UAT_KEY)
    return lambda text: stored_form(text, key).text
