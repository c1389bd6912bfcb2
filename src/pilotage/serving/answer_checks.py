"""The output checks of one answer, in their order: canary, PII, URLs, citations, numbers, grounding (serving.md 5.6).

Rule: a blocked answer becomes a fixed text with its reason; nothing of it leaves or is stored. In stream modes other
than `buffer` text that has left is not changed any more: links and unknown markers are then only reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pilotage.guard.canary import shows_canary
from pilotage.guard.citations import Citations, Statement, check_citations
from pilotage.guard.finding import Finding
from pilotage.guard.grounding import grounding_of
from pilotage.guard.numbers import unsupported_numbers
from pilotage.guard.policy import Action, Check, FailMode, Restore, Stage, StreamMode
from pilotage.guard.redact import PromptRedactor, stored_form
from pilotage.guard.urls import strip_urls
from pilotage.release.generation import FinishReason
from pilotage.serving.context import Cited, Found, Generated, Verdict

TEXTS: Final[Mapping[str, str]] = {
    "not_found": "I did not find an answer to that in the documents you may read.",
    "guard": "I cannot give this answer: a safety check stopped it.",
    "citation": "I cannot give this answer: it was not supported by citations.",
    "grounding": "I cannot give this answer: the documents do not support it well enough.",
}
"""The fixed text of each content refusal."""

_LONGEST_QUOTE: Final = 400


class _BlockedError(Exception):
    """A check stopped the answer."""

    def __init__(self, refusal: str) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(slots=True, kw_only=True)
class AnswerChecks:
    """One answer under judgement."""

    context: Generated
    redactor: PromptRedactor
    key: bytes
    analyse: Callable[[str], list[str]]
    findings: list[Finding] = field(default_factory=list)
    scores: dict[str, str] = field(default_factory=dict)

    def run(self) -> Verdict:
        """Return the verdict."""
        if self.context.generation.finish is FinishReason.NOT_FOUND:
            return self._refused("not_found")
        try:
            return self._judged(self.context.generation.text)
        except _BlockedError as blocked:
            return self._refused(blocked.refusal)

    def _judged(self, text: str) -> Verdict:
        known = {item.passage.marker: item for item in self.context.retrieval.found}
        may_change = self.context.release.content.guard.stream is StreamMode.BUFFER
        self._guarded("canary", lambda line: self._canary(line, text))
        redacted = self.redactor.redact_answer(text)
        for kind, count in redacted.counts.items():
            self._report(self._line("pii_out"), kind, count, check="pii_out", refusal="guard")
        text = redacted.text
        stripped = strip_urls(text, allowed=self._allowed_urls(known))
        if stripped.removed:
            self._report(self._line("urls"), "URL", stripped.removed, check="urls", refusal="guard")
            text = stripped.text if may_change else text
        citations = check_citations(text, known, analyse=self.analyse)
        self._guarded("citation", lambda line: self._citation(line, citations))
        self._guarded("numbers", lambda line: self._numbers(line, citations.statements, known))
        self._guarded("grounding", lambda line: self._grounding(line, citations.statements, known))
        text = citations.text if may_change else text
        shown = self.redactor.restore(text) if self._restores() else text
        return Verdict(
            text=shown,
            stored=stored_form(text, self.key).text,
            refusal=None,
            findings=tuple(self.findings),
            cited=tuple(_cited(citations.statements, known)),
            scores=dict(self.scores),
        )

    def _line(self, identifier: str) -> Check | None:
        checks = self.context.release.content.guard.checks
        return next((one for one in checks if one.id == identifier and one.stage is Stage.OUTPUT), None)

    def _guarded(self, identifier: str, run: Callable[[Check], None]) -> None:
        """Run a check the policy asks for, under its fail mode."""
        line = self._line(identifier)
        if line is None:
            return
        try:
            run(line)
        except _BlockedError:
            raise
        except Exception as error:
            # A check that breaks must not let an answer through that the policy wants blocked.
            if line.fail is FailMode.CLOSED:
                raise _BlockedError("guard") from error
            self.findings.append(Finding(check=identifier, type="check_failed", count=1, action=Action.FLAG))

    def _report(self, line: Check | None, kind: str, count: int, *, check: str, refusal: str) -> None:
        action = Action.REDACT if line is None else line.types.get(kind, line.action)
        self.findings.append(Finding(check=check, type=kind, count=count, action=action))
        if action is Action.BLOCK:
            raise _BlockedError(refusal)

    def _canary(self, line: Check, text: str) -> None:
        if shows_canary(text, self.context.canary):
            self._report(line, "CANARY", 1, check="canary", refusal="guard")

    def _citation(self, line: Check, citations: Citations) -> None:
        self.scores["citations"] = f"{citations.share:.4f}"
        if citations.unknown:
            flag = Finding(check="citation", type="UNKNOWN_MARKER", count=citations.unknown, action=Action.REDACT)
            self.findings.append(flag)
        if citations.share < (1.0 if line.threshold is None else line.threshold):
            self._report(line, "UNCITED", 1, check="citation", refusal="citation")

    def _numbers(self, line: Check, statements: tuple[Statement, ...], known: Mapping[int, Found]) -> None:
        wrong = 0
        for statement in statements:
            cited = [known[marker].passage for marker in statement.markers if marker in known]
            sources = "\n".join([*(f"{one.heading}\n{one.text}" for one in cited), self.context.question.text])
            wrong += len(unsupported_numbers(statement.text, sources))
        self.scores["numbers"] = str(wrong)
        if wrong:
            self._report(line, "NUMBER", wrong, check="numbers", refusal="grounding")

    def _grounding(self, line: Check, statements: tuple[Statement, ...], known: Mapping[int, Found]) -> None:
        idf = dict(self.context.retrieval.idf)
        scores = [
            grounding_of(
                statement.text,
                [f"{known[m].passage.heading}\n{known[m].passage.text}" for m in statement.markers if m in known],
                idf=idf,
                analyse=self.analyse,
            )
            for statement in statements
        ]
        lowest = min(scores, default=0.0)
        self.scores["grounding"] = f"{lowest:.4f}"
        if lowest < (0.5 if line.threshold is None else line.threshold):
            self._report(line, "UNGROUNDED", 1, check="grounding", refusal="grounding")

    def _allowed_urls(self, known: Mapping[int, Found]) -> tuple[str, ...]:
        own = [item.passage.uri for item in known.values() if item.passage.uri is not None]
        return (*self.context.release.content.guard.allowed_urls, *own)

    def _restores(self) -> bool:
        return self.context.release.content.guard.restore is Restore.CALLER

    def _refused(self, refusal: str) -> Verdict:
        text = TEXTS[refusal]
        return Verdict(
            text=text,
            stored=text,
            refusal=refusal,
            findings=tuple(self.findings),
            cited=(),
            scores=dict(self.scores),
        )


def _cited(statements: tuple[Statement, ...], known: Mapping[int, Found]) -> list[Cited]:
    return [
        Cited(
            marker=marker,
            corpus=item.corpus,
            document=item.passage.document,
            title=item.passage.title,
            section=item.passage.section,
            rev=item.passage.rev,
            ordinal=item.passage.ordinal,
            start=statement.start,
            end=statement.end,
            quote=_quote(statement.text, item.passage.text),
            uri=item.passage.uri,
            effective_date=item.passage.effective_from,
        )
        for statement in statements
        for marker in dict.fromkeys(statement.markers)
        if (item := known.get(marker)) is not None
    ]


def _quote(statement: str, passage: str) -> str:
    """Return the statement where it stands verbatim in the passage, else the passage's beginning."""
    plain = " ".join(passage.split())
    return statement if statement in plain else plain[:_LONGEST_QUOTE]
