"""The retrieval checks of one request: what a passage may bring into the prompt (serving.md 5.1, 5.6).

Every part of a passage that a model or an asker sees is looked at: title, section, heading and text. QUARANTINE drops
the passage from this prompt, BLOCK refuses the question, REDACT takes out what is hidden. Personal data is always
replaced by tokens counted on from the asker's. Fail mode: a check that fails closed blocks the question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from pilotage.guard.clean import visible
from pilotage.guard.finding import Finding
from pilotage.guard.hidden import strip_hidden
from pilotage.guard.policy import Action, Check, GuardPolicy, Stage
from pilotage.guard.redact import PromptRedactor
from pilotage.guard.tripwire import count_tripwires
from pilotage.release.generation import Passage
from pilotage.serving.context import Found, Retrieval
from pilotage.serving.passage_memo import PassageMemo, parts_digest
from pilotage.serving.policy_lines import failed, findings_of, line_of


@dataclass(slots=True, kw_only=True)
class PassageChecks:
    """The passages of one request. `redactor` already knows the asker's values."""

    policy: GuardPolicy
    redactor: PromptRedactor
    memo: PassageMemo
    findings: list[Finding] = field(default_factory=list)

    def run(self, retrieval: Retrieval) -> Retrieval:
        """Return the retrieval as the prompt may show it; blocked, it shows nothing."""
        kept: list[Found] = []
        for item in retrieval.found:
            found, passage = self._checked(item.passage)
            self.findings += [replace(one, where="passage") for one in found]
            actions = {one.action for one in found}
            if Action.BLOCK in actions:
                return self._result(retrieval, (), is_blocked=True)
            if Action.QUARANTINE not in actions:
                kept.append(item if passage is item.passage else replace(item, passage=passage))
        return self._result(retrieval, tuple(kept))

    def _result(self, retrieval: Retrieval, found: tuple[Found, ...], *, is_blocked: bool = False) -> Retrieval:
        findings = (*retrieval.findings, *self.findings)
        return replace(retrieval, found=found, findings=findings, is_blocked=is_blocked)

    def _checked(self, passage: Passage) -> tuple[list[Finding], Passage]:
        found: list[Finding] = []
        for line in self.policy.checks:
            if line.stage is not Stage.RETRIEVAL:
                continue
            parts = parts_digest(_parts(passage))
            look = partial(self.memo.counts, line.id, parts, partial(_seen, line, passage))
            seen = [_dropping(one) for one in findings_of(line, look)]
            found += seen
            if any(one.action is Action.REDACT for one in seen):
                passage = _without(line, passage)
        line = line_of(self.policy, "pii_in", Stage.INPUT, otherwise=Action.REDACT)
        try:
            return found, self._redacted(passage)
        except Exception as error:  # noqa: BLE001 - the edge of foreign matchers: this check always fails closed
            return [*found, failed(line, error)], passage

    def _redacted(self, passage: Passage) -> Passage:
        """Return the passage with tokens; one without a value or anything like a token stays what it is."""
        before = _parts(passage)
        parts = parts_digest(before)
        if self.memo.is_plain(self.redactor.rules, parts):
            return passage
        redacted = _each(passage, lambda text: self.redactor.redact_passage(text).text)
        if _parts(redacted) == before and not any("<" in part for part in before):
            self.memo.keep_plain(self.redactor.rules, parts)
        return redacted


def _seen(line: Check, passage: Passage) -> dict[str, int]:
    """Return what one retrieval check sees in all parts of a passage: kind to count."""
    match line.id:
        case "tripwire":
            seen = {"INSTRUCTION": sum(map(count_tripwires, _parts(passage)))}
        case "hidden_text":
            shown = [strip_hidden(part) for part in _parts(passage)]
            seen = {"HIDDEN": sum(one.hidden for one in shown), "INVISIBLE": sum(one.invisible for one in shown)}
        case "unicode":
            seen = {"INVISIBLE": sum(visible(part).removed for part in _parts(passage))}
        case _:
            seen = {}
    return {kind: count for kind, count in seen.items() if count}


def _without(line: Check, passage: Passage) -> Passage:
    """Return the passage without what a check with action REDACT takes out."""
    if line.id == "hidden_text":
        return _each(passage, lambda text: strip_hidden(text).text)
    return _each(passage, lambda text: visible(text).text)


def _dropping(found: Finding) -> Finding:
    """Turn REDACT of an instruction into QUARANTINE: it cannot be cut out, so its passage is dropped."""
    is_dropped = found.type == "INSTRUCTION" and found.action is Action.REDACT
    return replace(found, action=Action.QUARANTINE) if is_dropped else found


def _parts(passage: Passage) -> tuple[str, ...]:
    return passage.title, passage.section, passage.heading, passage.text


def _each(passage: Passage, change: Callable[[str], str]) -> Passage:
    title, section, heading, text = map(change, _parts(passage))
    return replace(passage, title=title, section=section, heading=heading, text=text)
