"""The cases of a comparison side by side, fifty a page, as one person may see them.

Rule: the texts of a side (answer, quoted words) are shown only where the viewer may read now every passage that it may
quote, asked of the last wall. Where a side or an expected document is closed to them, they get id and scores alone, and
no tag of it is offered or filtered by. Fail mode: a passage or document that does not come back was not allowed, so its
texts stay hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.compared_case import CasePage, CaseSide, CaseWish, ComparedCase, Show
from pilotage.control.compared_texts import SideTexts, Wall, side_texts
from pilotage.control.instance import Instance
from pilotage.control.kept_cases import is_kept
from pilotage.control.sealed_golden import goldens_of
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.evaluation.assessment import Assessment, Status
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.run import Arm, EvaluationRun
from pilotage.evaluation.side_by_side import CaseChange, Change, case_changes, fact_text
from pilotage.evaluation.stored import assessment_subject
from pilotage.identity.principal import Principal, acl_names
from pilotage.store.compared_cases import CaseAnswer, answers_of, documents_of, readable_documents, scored_as
from pilotage.store.releases import StoredRelease, find_release
from pilotage.workspace.golden import GoldenCase

PAGE: Final = 50
_FACTS: Final = "key_fact_recall"
_TEXTLESS: Final = SideTexts(gone="It was not asked.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A completed run of a release that asked both, and what it left."""

    release: StoredRelease
    run: EvaluationRun
    result: Mapping[str, Any]

    @property
    def differences(self) -> Sequence[Mapping[str, Any]]:
        """The rows of the comparison; none without a baseline."""
        found: Sequence[Mapping[str, Any]] = (self.result.get("comparison") or {}).get("differences", ())
        return found

    @property
    def unscored(self) -> frozenset[str]:
        """The cases that lack a number on either side."""
        stored: Mapping[str, Mapping[str, Sequence[str]]] = self.result.get("unscored_cases") or {}
        return frozenset(case for arm in stored.values() for cases in arm.values() for case in cases)

    @property
    def leaked(self) -> frozenset[str]:
        """The cases that stand in the release and were left out of the verdict."""
        return frozenset(str(one["case"]) for one in self.result.get("leaked", ()))


def cases_of(connection: Connection, instance: Instance, actor: Principal, ran: Ran, wish: CaseWish) -> CasePage:
    """Return a page of a completed run's cases."""
    cases, primary, files = _cases(connection, ran)
    changes = {name: one for name, one in case_changes(ran.differences).items() if name in cases}
    groups = _groups(cases, changes, ran.unscored, primary)
    reading = _Reading(
        connection=connection, instance=instance, names=acl_names(actor), ran=ran, primary=primary, changes=changes
    )
    readable = _readable(reading, cases)
    tags = {name: cases[name].tags for name in readable.open}
    offered = {tag for each in tags.values() for tag in each}
    if wish.tag not in offered:
        wish = replace(wish, tag="")
    inside = [name for name in sorted(groups[wish.show]) if not wish.tag or wish.tag in tags.get(name, ())]
    if wish.case:
        inside = [wish.case] if wish.case in cases else []
    rest = [name for name in inside if name > wish.after]
    return CasePage(
        primary=primary,
        files=files,
        wish=wish,
        counts={name: len(groups[name]) for name in Show},
        tags=tuple(sorted(offered)),
        found=len(inside),
        shown=_shown(reading, {name: cases[name] for name in rest[:PAGE]}, readable, is_whole=bool(wish.case)),
        more=rest[PAGE - 1] if len(rest) > PAGE else "",
    )


def _cases(connection: Connection, ran: Ran) -> tuple[dict[str, GoldenCase], str, tuple[str, ...]]:
    """Return every case of the run by id, the primary metric and the golden files; kept cases as they stood before."""
    release, run = ran.release, ran.run
    kept = [str(name) for name in ran.result.get("kept", ())]
    old = find_release(connection, run.approved) if kept and run.approved is not None else None
    goldens = goldens_of(connection, [release] if old is None else [release, old])
    golden = goldens[release.digest]
    files = golden.chosen(run.kind, run.golden)
    cases = {case.id: case for file in files for case in file.cases}
    if old is not None:
        before = {case.id: case for file in goldens[old.digest].chosen(run.kind, ()) for case in file.cases}
        for name in kept:
            found = before.get(name.partition("~")[0])
            if found is not None:
                cases[name] = replace(found, id=name)
    return cases, golden.settings.primary, tuple(file.name for file in files)


def _groups(
    cases: Mapping[str, GoldenCase], changes: Mapping[str, CaseChange], unscored: frozenset[str], primary: str
) -> dict[Show, set[str]]:
    words = {name: one.word(primary) for name, one in changes.items()}
    return {
        Show.CHANGED: set(words),
        Show.WORSE: {name for name, word in words.items() if word in {Change.WORSE, Change.MIXED}},
        Show.BETTER: {name for name, word in words.items() if word in {Change.BETTER, Change.MIXED}},
        Show.UNSCORED: set(unscored & cases.keys()),
        Show.ALL: set(cases),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Who reads what of a run; `names` are the viewer's in ACLs."""

    connection: Connection
    instance: Instance
    names: frozenset[str]
    ran: Ran
    primary: str
    changes: Mapping[str, CaseChange]

    def since(self, corpora: Iterable[CorpusName]) -> dict[CorpusName, datetime | None]:
        workspace, now = self.instance.workspace, self.instance.clock.now()
        return {corpus: workspace.acls_confirmed_since(corpus, now) for corpus in corpora}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readable:
    """The documents that the viewer may read, by case of the run; `open` are the cases with no other one."""

    named: Mapping[str, tuple[str, ...]]
    open: frozenset[str]


def _readable(reading: _Reading, cases: Mapping[str, GoldenCase]) -> _Readable:
    behind = documents_of(reading.connection, reading.ran.run.id)
    corpora = {corpus for found in behind.values() for corpus, _ in found}
    usual = next(iter(corpora)) if len(corpora) == 1 else None
    wanted: dict[str, set[tuple[CorpusName, str]]] = {}
    for name, case in cases.items():
        own = {corpus for corpus, _ in behind.get(name, ())}
        corpus = next(iter(own)) if len(own) == 1 else usual
        wanted[name] = {(corpus, one) for one in _expected(case)} if corpus is not None else set()
    asked = {one for found in (*behind.values(), *wanted.values()) for one in found}
    held = readable_documents(reading.connection, asked, reading.names, reading.since(corpora))
    named = {
        name: tuple(one for one in _expected(case) if any((corpus, one) in held & wanted[name] for corpus in corpora))
        for name, case in cases.items()
    }
    return _Readable(
        named=named,
        open=frozenset(
            name
            for name, case in cases.items()
            if len(named[name]) == len(_expected(case)) and behind.get(name, frozenset()) <= held
        ),
    )


def _shown(
    reading: _Reading, cases: Mapping[str, GoldenCase], readable: _Readable, *, is_whole: bool
) -> tuple[ComparedCase, ...]:
    if not cases:
        return ()
    connection = reading.connection
    answers = answers_of(connection, reading.ran.run.id, list(cases))
    since = reading.since({one.corpus for one in answers.values() if one.corpus is not None})
    wall = Wall.ask(connection, answers.values(), reading.names, since)
    digests = {name: case_digest(case) for name, case in cases.items()}
    found = _assessed(connection, answers, digests, {reading.primary, _FACTS})
    rows = []
    for name, case in cases.items():
        sides = []
        for arm in (Arm.BASELINE, Arm.CANDIDATE):
            answer = answers.get((name, arm))
            scored = {} if answer is None else _scored(answer, digests[name], found)
            texts = _TEXTLESS if answer is None else side_texts(answer, wall, is_whole=is_whole)
            sides.append(_side(answer, case, scored, texts, reading.primary))
        rows.append(_row(reading, case, (sides[0], sides[1]), readable))
    return tuple(rows)


def _row(reading: _Reading, case: GoldenCase, sides: tuple[CaseSide, CaseSide], readable: _Readable) -> ComparedCase:
    before, after = sides
    change, expected = reading.changes.get(case.id, CaseChange()), len(_expected(case))
    word = change.word(reading.primary)
    if word is Change.SAME and (case.id in reading.ran.unscored or not before.is_scored or not after.is_scored):
        word = Change.UNKNOWN
    documents = readable.named[case.id]
    is_open = case.id in readable.open and not any(side.texts.hidden for side in sides)
    hidden = _why_hidden(case, expected - len(documents), sides)
    if case.expect.facts and not is_open:
        hidden = hidden or "An answer to it may quote what you may not read now."
    return ComparedCase(
        case=case,
        is_open=is_open,
        word=word,
        change=change,
        facts=None if hidden else tuple(fact_text(fact) for fact in case.expect.facts),
        facts_hidden=hidden,
        documents=documents,
        expected=expected,
        is_kept=is_kept(case.id),
        is_leaked=case.id in reading.ran.leaked,
        before=before,
        after=after,
    )


def _why_hidden(case: GoldenCase, unread: int, sides: tuple[CaseSide, CaseSide]) -> str:
    """Return why expected facts are not shown: they quote documents, named ones or those the answers quote."""
    if not case.expect.facts:
        return ""
    if unread:
        return f"They rest on {unread} document{'s' if unread > 1 else ''} that you may not read now."
    if _expected(case):
        return ""
    if any(side.texts.answer is None for side in sides):
        return "They name no document, and not every document behind the answers is one that you may read now."
    if not any(side.texts.behind for side in sides):
        return "They name no document, and neither answer was given one, so nothing says who may read them."
    return ""


def _expected(case: GoldenCase) -> tuple[str, ...]:
    """Return the documents that a case names as sources, each once."""
    named = [entry for one in case.expect.citations for entry in one] + list(case.expect.retrieve)
    return tuple(dict.fromkeys(entry.partition("#")[0] for entry in named))


_Found = Mapping[tuple[Digest, Digest, str], Assessment]


def _assessed(
    connection: Connection,
    answers: Mapping[tuple[str, Arm], CaseAnswer],
    digests: Mapping[str, Digest],
    scorers: set[str],
) -> _Found:
    pairs = [
        (one.generation.digest, assessment_subject(digests[name], one.context))
        for (name, _), one in answers.items()
        if one.generation is not None and one.context is not None
    ]
    return scored_as(connection, pairs, scorers)


def _scored(answer: CaseAnswer, digest: Digest, found: _Found) -> dict[str, Assessment]:
    """Return what was found about one answer, by scorer."""
    given = None if answer.generation is None else answer.generation.digest
    return {scorer: one for (generation, case, scorer), one in found.items() if (generation, case) == (given, digest)}


def _side(
    answer: CaseAnswer | None, case: GoldenCase, scored: Mapping[str, Assessment], texts: SideTexts, primary: str
) -> CaseSide:
    given = None if answer is None else answer.generation
    judged = scored.get(primary)
    status = "" if judged is None else judged.reason if judged.status is Status.UNSCORED else judged.status.value
    error = None if answer is None else answer.error
    if given is None or given.error is not None:
        return CaseSide(
            status=status, refused=None, refusal_reason=None, error=error, facts=None, citations=None, texts=texts
        )
    valid = [one for one in given.citations if one.valid and one.allowed]
    return CaseSide(
        status=status,
        refused=given.refused,
        refusal_reason=given.refusal_reason,
        error=None,
        facts=_stated(case, scored.get(_FACTS)),
        citations=(len(valid), len(given.citations)),
        texts=texts,
    )


def _stated(case: GoldenCase, found: Assessment | None) -> tuple[int, int] | None:
    missing = None if found is None else found.details.get("missing")
    if not isinstance(missing, list | tuple):
        return None
    return len(case.expect.facts) - len(missing), len(case.expect.facts)
