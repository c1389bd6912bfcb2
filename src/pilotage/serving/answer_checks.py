"""The output checks of one answer, in their order: canary, PII, URLs, citations, numbers, grounding (serving.md 5.6).

Rule: a blocked answer becomes a fixed text with its reason; nothing of it leaves or is stored. The canary, redaction
and URLs are checked whether or not the policy lists them. In stream modes other than `buffer` text that has left is not
changed any more: links and unknown markers are then only reported. Citations point into the text the asker gets. Fail
mode: the policy's, per line; redaction always blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pilotage.guard.canary import shows_canary
from pilotage.guard.citations import MARKER, Citations, Statement, check_citations
from pilotage.guard.clean import visible
from pilotage.guard.finding import Finding
from pilotage.guard.grounding import grounding_of
from pilotage.guard.numbers import unsupported_numbers
from pilotage.guard.pii_types import PiiType
from pilotage.guard.policy import Action, Check, FailMode, Restore, Stage, StreamMode
from pilotage.guard.redact import PromptRedactor, Restored
from pilotage.guard.urls import may_hold_urls, strip_urls
from pilotage.release.generation import FinishReason
from pilotage.serving.context import Cited, Found, Generated, Verdict
from pilotage.serving.policy_lines import check_of, failed, finding, line_of

TEXTS: Final[Mapping[str, str]] = {
    "not_found": "I did not find an answer to that in the documents you may read.",
    "guard": "I cannot give this answer: a safety check stopped it.",
    "citation": "I cannot give this answer: it was not supported by citations.",
    "grounding": "I cannot give this answer: the documents do not support it well enough.",
}
"""The fixed text of each content refusal."""

_LONGEST_QUOTE: Final = 400
_OF_STATEMENTS: Final = ("citation", "numbers", "grounding")


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
        policy = self.context.release.content.guard
        may_change = policy.stream is StreamMode.BUFFER
        self._guarded(self._line("canary", Action.BLOCK), lambda line: self._canary(line, text))
        text = self._redacted(self._cleaned(text))
        stripped = self._stripped(text, known)
        text = stripped if may_change else text
        citations = self._citations(text, known, is_fixed=not may_change)
        statements = citations.statements
        self._guarded(self._listed("citation"), lambda line: self._citation(line, citations))
        self._guarded(self._listed("numbers"), lambda line: self._numbers(line, statements, known))
        self._guarded(self._listed("grounding"), lambda line: self._grounding(line, statements, known))
        text = citations.text
        shown = self.redactor.restore(text) if policy.restore is Restore.CALLER else Restored(text=text)
        return Verdict(
            text=shown.text,
            stored=self.redactor.stored(text, self.key),
            refusal=None,
            findings=tuple(self.findings),
            cited=tuple(_cited(statements, known, shown)),
            scores=dict(self.scores),
        )

    def _citations(self, text: str, known: Mapping[int, Found], *, is_fixed: bool) -> Citations:
        if "[" not in text and not any(map(self._listed, _OF_STATEMENTS)):
            # No marker can stand in it, and no line of the policy asks about its sentences.
            return Citations(text=text, statements=(), unknown=0, share=0.0)
        return check_citations(text, known, analyse=self.analyse, is_fixed=is_fixed)

    def _listed(self, identifier: str) -> Check | None:
        return check_of(self.context.release.content.guard, identifier, Stage.OUTPUT)

    def _line(self, identifier: str, otherwise: Action) -> Check:
        return line_of(self.context.release.content.guard, identifier, Stage.OUTPUT, otherwise=otherwise)

    def _guarded(self, line: Check | None, run: Callable[[Check], None]) -> None:
        """Run a check under its fail mode; without a line there is none."""
        if line is None:
            return
        try:
            run(line)
        except _BlockedError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of foreign matchers: the policy's fail mode decides
            self._broke(line, error)

    def _broke(self, line: Check, error: Exception) -> None:
        found = failed(line, error)
        self.findings.append(found)
        if found.action is Action.BLOCK:
            raise _BlockedError("guard") from error

    def _report(self, line: Check, kind: str, count: int, *, refusal: str = "guard") -> None:
        found = finding(line, kind, count)
        self.findings.append(found)
        if found.action is Action.BLOCK:
            raise _BlockedError(refusal)

    def _cleaned(self, text: str) -> str:
        """Return the text as a reader sees it, where the policy's `unicode` line takes out what hides."""
        line = self._listed("unicode")
        if line is None:
            return text
        seen = visible(text)
        if seen.removed:
            self._report(line, "INVISIBLE", seen.removed)
        return seen.text if line.action is Action.REDACT else text

    def _redacted(self, text: str) -> str:
        line, secrets = self._line("pii_out", Action.REDACT), self._line("secrets", Action.REDACT)
        try:
            redacted = self.redactor.redact_answer(text)
        except Exception as error:
            # A broken recogniser cannot say what the text holds: it is not shown, whatever the lines say.
            self._broke(replace(line, fail=FailMode.CLOSED), error)
            raise
        for kind, count in redacted.counts.items():
            self._report(secrets if kind == PiiType.SECRET else line, kind, count)
        return redacted.text

    def _stripped(self, text: str, known: Mapping[int, Found]) -> str:
        line = self._line("urls", Action.REDACT)
        try:
            stripped = strip_urls(text, allowed=self._allowed_urls(text, known) if may_hold_urls(text) else ())
        except Exception as error:  # noqa: BLE001 - as in `_guarded`; failing open lets the text go on as it is
            self._broke(line, error)
            return text
        if stripped.removed:
            self._report(line, "URL", stripped.removed)
        return stripped.text

    def _canary(self, line: Check, text: str) -> None:
        if shows_canary(text, self.context.canary):
            self._report(line, "CANARY", 1)

    def _citation(self, line: Check, citations: Citations) -> None:
        self.scores["citations"] = f"{citations.share:.4f}"
        if citations.unknown:
            flag = Finding(check="citation", type="UNKNOWN_MARKER", count=citations.unknown, action=Action.REDACT)
            self.findings.append(flag)
        if citations.share < (1.0 if line.threshold is None else line.threshold):
            self._report(line, "UNCITED", 1, refusal="citation")

    def _numbers(self, line: Check, statements: tuple[Statement, ...], known: Mapping[int, Found]) -> None:
        wrong = 0
        for statement in statements:
            cited = [known[marker].passage for marker in statement.markers if marker in known]
            sources = "\n".join([*(f"{one.heading}\n{one.text}" for one in cited), self.context.question.text])
            wrong += len(unsupported_numbers(statement.text, sources))
        self.scores["numbers"] = str(wrong)
        if wrong:
            self._report(line, "NUMBER", wrong, refusal="grounding")

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
            self._report(line, "UNGROUNDED", 1, refusal="grounding")

    def _allowed_urls(self, text: str, known: Mapping[int, Found]) -> tuple[str, ...]:
        """Return the allow-list and the addresses of the documents that this answer cites."""
        cited = {int(marker[1]) for marker in MARKER.finditer(text)} & known.keys()
        own = [known[marker].passage.uri for marker in sorted(cited)]
        return (*self.context.release.content.guard.allowed_urls, *(uri for uri in own if uri is not None))

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


def _cited(statements: tuple[Statement, ...], known: Mapping[int, Found], shown: Restored) -> list[Cited]:
    return [
        Cited(
            marker=marker,
            corpus=item.corpus,
            document=item.passage.document,
            title=item.passage.title,
            section=item.passage.section,
            rev=item.passage.rev,
            ordinal=item.passage.ordinal,
            start=shown.place(statement.start),
            end=shown.place(statement.end),
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
