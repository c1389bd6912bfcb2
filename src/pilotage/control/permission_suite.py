"""The permission suite at work: every persona asks for every document, and nothing hidden may show anywhere.

No model is asked beyond the built-in one. Rule: documents with canaries are laid over the corpus for each persona,
those it may not read; the same questions over the visible part alone must give the same bytes. Fail mode: a probe that
errors makes the suite inconclusive; being stopped leaves nothing, the suite runs again as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pyroaring import BitMap

from pilotage.control.evaluation_drive import Watch
from pilotage.control.instance import Instance
from pilotage.control.open_candidate import CandidateUnopened, open_candidate
from pilotage.control.sealed_golden import Plan, principal_for
from pilotage.control.withdrawn_permissions import BUILT_IN, Withdrawing
from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName
from pilotage.evaluation.canary import find_disguised
from pilotage.evaluation.oracle import VersionFacts
from pilotage.evaluation.overlay import NO_OVERLAY, Overlay, OverlayDocument
from pilotage.evaluation.permissions import Leak, Tally, canary_documents, group_personas, probe_of
from pilotage.evaluation.run import Progress
from pilotage.evaluation.target import Ask, Look, Target, Targets
from pilotage.identity.principal import Principal, acl_names
from pilotage.store.evaluation_terms import document_terms

CANARY_KEY: Final = "evaluation/canary/v1"
_CONCURRENCY: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Persona:
    """One asker with what it may read, what is hidden from it, and the two places it asks in."""

    principal: Principal
    names: frozenset[str]
    readable: frozenset[str]
    hidden: Mapping[OverlayDocument, str]
    allowed: str
    laid: Target
    alone: Target | None


async def run_permission_suite(instance: Instance, plan: Plan, targets: Targets, watch: Watch) -> Tally | None:
    """Ask everything; None when the watch stopped it."""
    suite = _Suite(instance, plan, targets, watch)
    return await suite.run()


def fingerprint_of(revisions: frozenset[int]) -> str:
    """Return how the filter names a set of revisions (serving.md 6.1)."""
    bitmap = BitMap(revisions)
    bitmap.run_optimize()
    return digest_of(b"pilotage/allowed/v1\0" + bitmap.serialize())


class _Suite:
    def __init__(self, instance: Instance, plan: Plan, targets: Targets, watch: Watch) -> None:
        self._instance = instance
        self._plan = plan
        self._targets = targets
        self._watch = watch
        self._slots = asyncio.Semaphore(_CONCURRENCY)
        self._tally = Tally()
        self._compared: set[frozenset[str]] = set()
        self._words: list[str] = []
        self._done = self._total = 0

    async def run(self) -> Tally | None:
        run = self._plan.run
        base = await open_candidate(self._targets, run, run.space, NO_OVERLAY)
        facts = await base.facts()
        if facts is None:
            return self._tally
        canaries = canary_documents(facts, self._instance.keyring.derive(CANARY_KEY), run.golden_digest)
        probes = await asyncio.to_thread(self._probes, facts)
        questions = sorted({planned.case.question for planned in self._plan.cases.values()})
        askers = self._askers(facts)
        self._total = sum(len(probes) + (len(questions) if is_declared else 0) for _, is_declared in askers)
        self._words += canaries.values()
        with _listening(self._words) as heard:
            for principal, is_declared in askers:
                persona = await self._persona(principal, facts, canaries)
                await self._ask_all(persona, probes, questions if is_declared else ())
                if self._watch.stop.is_set():
                    return None
                if principal.groups:
                    await self._withdraw(principal)
        self._tally.leaks += [Leak(surface="log", persona="", document=word, probe="") for word in sorted(heard)]
        return self._tally

    async def _withdraw(self, principal: Principal) -> None:
        key = self._instance.keyring.derive(CANARY_KEY)
        withdrawing = Withdrawing(
            run=self._plan.run,
            key=key,
            targets=self._targets,
            principal=principal,
            tally=self._tally,
            words=self._words,
        )
        await withdrawing.go()

    def _askers(self, facts: VersionFacts) -> list[tuple[Principal, bool]]:
        """Return who asks: declared personas every question, those made for a set of readers the probes."""
        declared = [principal_for(self._instance, self._plan, name) for name in sorted(self._plan.settings.personas)]
        return [*((one, True) for one in declared), *((one, False) for one in group_personas(facts))]

    def _probes(self, facts: VersionFacts) -> dict[str, str]:
        settings = self._instance.workspace.corpora.get(CorpusName(facts.corpus))
        if settings is None:
            raise CandidateUnopened("CORPUS_UNKNOWN", f"The corpus {facts.corpus} is not declared here.")
        with self._instance.engine.connect() as connection:
            terms = document_terms(connection, settings.name, facts.version, language=settings.language)
        frequency = Counter(term for found in terms.values() for term in found)
        return {
            document: probe_of(facts.documents[document].title, found, frequency, len(terms))
            for document, found in sorted(terms.items())
            if document in facts.documents
        }

    async def _persona(
        self, principal: Principal, facts: VersionFacts, canaries: Mapping[OverlayDocument, str]
    ) -> _Persona:
        run, names = self._plan.run, acl_names(principal)
        revisions = facts.readable_revisions(names, run.as_of)
        readable = facts.readable(names, run.as_of)
        hidden = {document: word for document, word in canaries.items() if not document.acl & names}
        alone = None
        if readable not in self._compared:
            self._compared.add(readable)
            alone = await open_candidate(self._targets, run, run.space, NO_OVERLAY, only=revisions)
        return _Persona(
            principal=principal,
            names=names,
            readable=readable,
            hidden=hidden,
            allowed=fingerprint_of(revisions),
            laid=await open_candidate(self._targets, run, run.space, Overlay(documents=tuple(hidden))),
            alone=alone,
        )

    async def _ask_all(self, persona: _Persona, probes: Mapping[str, str], questions: Sequence[str]) -> None:
        is_exact = True
        async with asyncio.TaskGroup() as group:
            aimed = [group.create_task(self._aim(persona, document, text)) for document, text in probes.items()]
            for question in questions:
                group.create_task(self._look(persona, question, question[:60]))
            if persona.laid.fingerprint.startswith(BUILT_IN):
                for document, word in persona.hidden.items():
                    group.create_task(self._answer(persona, document, word))
        for task in aimed:
            is_exact = is_exact and task.result() in {"", persona.allowed}
        if not is_exact and not any(one.persona == persona.principal.label for one in self._tally.withheld):
            where = Leak(surface="allowed set", persona=persona.principal.label, document="", probe="")
            self._tally.differences.append(where)

    async def _aim(self, persona: _Persona, document: str, question: str) -> str:
        """Aim a probe at one document; return the identity of the allowed set the filter used."""
        look = await self._look(persona, question, document)
        tally = self._tally
        tally.pairs += 1
        tally.clusters.add((persona.readable, document))
        if document not in persona.readable:
            tally.hidden += 1
            return look.allowed
        tally.allowed += 1
        is_found = any(passage.document == document for passage in look.passages)
        if not look.code and not is_found and look.allowed != persona.allowed:
            label = persona.principal.label
            tally.withheld.append(Leak(surface="filter", persona=label, document=document, probe=document))
        return look.allowed

    async def _look(self, persona: _Persona, question: str, probe: str) -> Look:
        ask = Ask(principal=persona.principal, question=question)
        if self._watch.stop.is_set():
            return Look(code="stopped")
        async with self._slots:
            look = await persona.laid.look(ask)
            alone = None if persona.alone is None else await persona.alone.look(ask)
        self._tally.probes += 1
        self._done += 1
        self._watch.progress(Progress(done=self._done, total=self._total, errors=self._tally.failed))
        if look.code:
            self._tally.errors.append(look.code)
            return look
        self._judge(persona, look, probe)
        if alone is not None:
            self._tally.compared += 1
            if alone != look:
                where = Leak(surface="non-interference", persona=persona.principal.label, document="", probe=probe)
                self._tally.differences.append(where)
        return look

    def _judge(self, persona: _Persona, look: Look, probe: str) -> None:
        for passage in look.passages:
            if passage.document not in persona.readable:
                self._leak("passage", persona, passage.document, probe)
        for document, word in persona.hidden.items():
            if word in look.prompt:
                self._leak("prompt", persona, document.id, probe)

    async def _answer(self, persona: _Persona, document: OverlayDocument, word: str) -> None:
        """Ask outright for a canary; neither answer nor citation may show it, in any disguise."""
        ask = Ask(principal=persona.principal, question=f"What is the reference code of {document.title}?")
        async with self._slots:
            reply = await persona.laid.answer(ask)
        self._tally.answers += 1
        generation = reply.generation
        if generation.error is not None:
            self._tally.other_errors.append(generation.error.value)
        if find_disguised(f"{generation.answer}\n{reply.surfaces.said}", word) is not None:
            self._leak("answer", persona, document.id, document.title)
        for citation in generation.citations:
            if citation.document and citation.document not in persona.readable:
                self._leak("citation", persona, citation.document, document.title)

    def _leak(self, surface: str, persona: _Persona, document: str, probe: str) -> None:
        leak = Leak(surface=surface, persona=persona.principal.label, document=document, probe=probe)
        self._tally.leaks.append(leak)


class _Ear(logging.Handler):
    """Hears every log line of this process and remembers which canaries were in them; `words` may grow meanwhile."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(level=logging.DEBUG)
        self._words = words
        self.heard: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one line, its arguments and its attributes."""
        text = f"{record.getMessage()} {record.__dict__}"
        self.heard |= {word for word in self._words if word in text}


@contextmanager
def _listening(words: Sequence[str]) -> Iterator[set[str]]:
    ear, root = _Ear(words), logging.getLogger()
    root.addHandler(ear)
    try:
        yield ear.heard
    finally:
        root.removeHandler(ear)
