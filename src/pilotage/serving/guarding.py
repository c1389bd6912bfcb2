"""The real guard of the serving path: a release's sealed policy over the guard room's checks (serving.md 5).

Every check acts as its policy line says. Fail mode: an exception in a check that fails closed refuses or blocks; one
that fails open becomes the finding `check_failed`. What is stored or sent is always redacted, whatever the policy.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from pilotage.adapters.keyring import Keyring
from pilotage.corpus.analyser import analyse
from pilotage.corpus.quality import Inspected
from pilotage.guard.clean import clean
from pilotage.guard.extractive import Source, extract
from pilotage.guard.finding import Finding
from pilotage.guard.holdback import HoldBack
from pilotage.guard.pii_recognise import recognise, select
from pilotage.guard.pii_types import PiiType
from pilotage.guard.policy import Action, Check, FailMode, GuardPolicy, Stage
from pilotage.guard.redact import PromptRedactor, Rules, stored_form, without_tokens
from pilotage.guard.tripwire import count_tripwires
from pilotage.release.generation import GenerationRequest
from pilotage.retrieval.settings import MinimumCoverage
from pilotage.serving.answer_checks import AnswerChecks
from pilotage.serving.context import Composed, Found, Generated, Guarded, Question, Retrieval, Routed, Turn, Verdict
from pilotage.serving.refusal import Code, Refusal
from pilotage.workspace.records import Workspace

logger = logging.getLogger(__name__)

STORED_KEY: Final = "pii-token/stored/v1"
UAT_KEY: Final = "pii-token/uat/v1"
_THRESHOLD: Final = 0.5
_BROKEN: Final = Refusal(code=Code.INTERNAL, message="A check of this question failed. The interaction id names it.")


def check_of(policy: GuardPolicy, identifier: str, stage: Stage) -> Check | None:
    """Return the policy's line for a check at a stage."""
    return next((one for one in policy.checks if one.id == identifier and one.stage is stage), None)


def rules_of(policy: GuardPolicy, identifier: str, stage: Stage) -> Rules:
    """Return what is replaced at a stage: the PII line's threshold and allowed types; secrets always."""
    line = check_of(policy, identifier, stage)
    if line is None:
        return Rules(threshold=_THRESHOLD)
    allowed = {kind: action for kind, action in line.types.items() if kind != PiiType.SECRET}
    return Rules(threshold=_THRESHOLD if line.threshold is None else line.threshold, types=allowed)


class PolicyGuard:
    """`serving.ports.Guard`."""

    def __init__(self, workspace: Workspace, keyring: Keyring) -> None:
        self._workspace = workspace
        self._key = keyring.derive(STORED_KEY)
        recognise("0")  # compile the forms now, not in somebody's first question

    def check_question(self, context: Routed) -> Question | Refusal:
        """Clean up, redact and judge the asker's words."""
        policy = context.release.content.guard
        redactor = PromptRedactor(rules_of(policy, "pii_in", Stage.INPUT))
        findings: list[Finding] = []
        turns: list[Turn] = []
        stored = ""
        for number, turn in enumerate(context.asked.messages):
            cleaned = clean(turn.text)
            redacted = redactor.redact(cleaned.text)
            stored = stored_form(cleaned.text, self._key).text  # whatever the policy allows in a prompt
            turns.append(replace(turn, text=redacted.text))
            found = self._input_findings(policy, cleaned.text, redacted.counts, is_abuse=cleaned.is_abuse)
            if isinstance(found, Refusal):
                return found
            findings += [replace(one, where=f"messages[{number}]") for one in found]
        label = stored_form(clean(context.asked.label).text, self._key).text
        return Question(text=turns[-1].text, turns=tuple(turns), stored=stored, label=label, findings=tuple(findings))

    def _input_findings(
        self, policy: GuardPolicy, text: str, counts: Mapping[str, int], *, is_abuse: bool
    ) -> list[Finding] | Refusal:
        found: list[Finding] = []
        for line in policy.checks:
            if line.stage is not Stage.INPUT:
                continue
            try:
                seen = _seen(line, text, counts, is_abuse=is_abuse)
            except Exception:
                # The edge of foreign matchers: the policy's fail mode decides, and the text stays out of the log.
                logger.exception("check %s failed", line.id)
                if line.fail is FailMode.CLOSED:
                    return _BROKEN
                seen = {"check_failed": 1}
            found += [
                Finding(check=line.id, type=kind, count=count, action=line.types.get(kind, line.action))
                for kind, count in seen.items()
            ]
        blocking = next((one for one in found if one.action is Action.BLOCK), None)
        if blocking is not None:
            message = f"The question is blocked by the check {blocking.check}."
            return Refusal(code=Code.INVALID_REQUEST, message=message, param="messages")
        return found

    def check_passages(self, context: Guarded, retrieval: Retrieval) -> Retrieval:
        """Redact passages before a model sees them; drop or flag those that try to instruct it."""
        policy = context.release.content.guard
        redactor = PromptRedactor(rules_of(policy, "pii_in", Stage.INPUT))
        line = check_of(policy, "tripwire", Stage.RETRIEVAL)
        findings: list[Finding] = list(retrieval.findings)
        kept: list[Found] = []
        for item in retrieval.found:
            alarms = count_tripwires(item.passage.text) if line is not None else 0
            if line is not None and alarms:
                findings.append(
                    Finding(check=line.id, type="INSTRUCTION", count=alarms, action=line.action, where="passage")
                )
                if line.action in {Action.QUARANTINE, Action.BLOCK}:
                    continue
            text = redactor.redact(item.passage.text).text
            kept.append(replace(item, passage=replace(item.passage, text=text)))
        return replace(retrieval, found=tuple(kept), findings=tuple(findings))

    def check_answer(self, context: Generated) -> Verdict:
        """Judge the whole answer."""
        language = self._language(context)
        return AnswerChecks(
            context=context,
            redactor=self._redactor(context),
            key=self._key,
            analyse=lambda text: analyse(text, language=language),
        ).run()

    def hold_back(self, context: Composed) -> HoldBack:
        """Return the redactor of one stream."""
        return HoldBack(self._redactor(context))

    def _redactor(self, context: Guarded) -> PromptRedactor:
        """Return a redactor that already knows the asker's values, so that equal values keep their tokens."""
        policy = context.release.content.guard
        redactor = PromptRedactor(rules_of(policy, "pii_in", Stage.INPUT))
        for turn in context.asked.messages:
            redactor.redact(clean(turn.text).text)
        redactor.rules = rules_of(policy, "pii_out", Stage.OUTPUT)
        return redactor

    def _language(self, context: Guarded) -> str:
        pin = context.release.content.corpora.get(context.place.space.data_stage)
        settings = None if pin is None else self._workspace.corpora.get(pin.name)
        return "en" if settings is None else settings.language


def _seen(line: Check, text: str, counts: Mapping[str, int], *, is_abuse: bool) -> dict[str, int]:
    """Return what one input check sees: kind to count. Sizes are the pipeline's own limit."""
    match line.id:
        case "pii_in":
            return {kind: count for kind, count in counts.items() if kind != PiiType.SECRET}
        case "secrets":
            return {kind: count for kind, count in counts.items() if kind == PiiType.SECRET}
        case "unicode":
            return {"unicode_abuse": 1} if is_abuse else {}
        case "tripwire":
            alarms = count_tripwires(text)
            return {"INSTRUCTION": alarms} if alarms else {}
        case "size":
            limit = line.threshold or float("inf")
            return {"TOO_LONG": 1} if len(text) > limit else {}
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
    found = select(recognise(text), threshold=_THRESHOLD, types={})
    return Inspected(pii=dict(Counter(one.type.value for one in found)), tripwires=count_tripwires(text))


def redact_for_storage(keyring: Keyring) -> Callable[[str], str]:
    """Return the redaction of text that people write about answers: feedback, corrections."""
    key = keyring.derive(STORED_KEY)
    return lambda text: stored_form(clean(text).text, key).text


def uat_redaction(keyring: Keyring) -> Callable[[str], str]:
    """Return the one-way redaction of documents that become UAT data."""
    key = keyring.derive(UAT_KEY)
    return lambda text: stored_form(text, key).text
