"""Steps 5 to 7 in one: an answer that was given before is given again (serving.md 6.1). Off unless the release says so.

Steps 1 to 4 ran before; the last wall reads the store for every hit, and the answer is recorded like any other. Rule:
only people's own questions read or fill it, so evaluation, probes, drills, replays and the shadow arm measure the real
thing; nothing with personal data in it is kept, and nothing of a release that left the routing table. A hit whose
corpus has moved is no hit. Fail mode: what cannot be told is not kept and not given.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from pilotage.core.digest import Digest
from pilotage.corpus.settings import Recheck as Rechecked
from pilotage.guard.finding import Finding
from pilotage.guard.policy import CacheMode
from pilotage.guard.redact import Rules
from pilotage.release.generation import FinishReason, GenerationRequest, Passage, Usage
from pilotage.serving.answer_cache import Basis, Entry, ends_at
from pilotage.serving.context import Checked, Guarded, Retrieval, Routed
from pilotage.serving.kept_answer import KeptAnswer, pack, unpack
from pilotage.serving.outcome import CHECK_FAILED, TrafficKind
from pilotage.serving.ports import Recheck, Seen
from pilotage.serving.refusal import Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.compose import CANARY_BYTES, max_tokens_of, warnings_of
from pilotage.serving.steps.extend import extend
from pilotage.serving.steps.recheck import look_again
from pilotage.serving.steps.retrieve import nothing
from pilotage.serving.steps.wall import open_wall_incident

_PEOPLE: Final = frozenset({TrafficKind.USER, TrafficKind.FAILOVER})
_PERSONAL: Final = frozenset({"pii_in", "pii_out", "secrets"})
_WHOLE: Final = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.NOT_FOUND})
_USUAL: Final = Rules()


def keeps_answers(context: Routed) -> bool:
    """Tell whether the release lets an answer be given again; the two steps below are for such a release."""
    return context.release.content.guard.cache is not CacheMode.OFF


async def reuse(context: Guarded, serving: Serving) -> Checked | Refusal | None:
    """Return the answer that was given before, a refusal by the last wall, or None: it has to be made."""
    if not _may_be_shared(context, serving):
        return None
    key = _key_before(context, serving)
    entry = None if key is None else serving.cache.get(key, at=context.at)
    if key is None or entry is None:
        serving.cache.misses += 1
        return None
    checked = _again(context, unpack(entry.body), serving)
    found = await _walled(checked, serving)
    if isinstance(found, Refusal):
        return found
    if not found.lost and not found.has_moved:
        serving.cache.hits += 1
        return checked
    serving.cache.misses += 1
    _forget(checked, found, serving)
    return None if found.has_moved else open_wall_incident(checked, len(found.lost), serving)


def keep(context: Checked, serving: Serving) -> None:
    """Keep an answer that was recorded, where it may be given again."""
    if context.generation.cached or not serving.routing.may_keep(context.release.digest):
        return
    if not _may_be_shared(context, serving) or not _may_be_kept(context):
        return
    retrieval = context.retrieval
    seen = Seen(
        as_of=retrieval.as_of,
        acl_generation=retrieval.acl_generation,
        allowed_fingerprint=retrieval.allowed_fingerprint,
    )
    entry = Entry(
        release=context.release.digest,
        corpus=retrieval.corpus,
        generation=retrieval.acl_generation,
        revisions=frozenset(item.passage.rev for item in retrieval.found),
        kept_at=context.at,
        ends_at=ends_at(context.at, ZoneInfo(serving.workspace.timezone), allowed_until=retrieval.allowed_until),
        body=pack(
            # What the model wrote before the guard saw it is nobody's.
            KeptAnswer(retrieval=retrieval, generation=replace(context.generation, text=""), verdict=context.verdict)
        ),
    )
    serving.cache.put(_key(context, seen), entry)


async def _walled(context: Checked, serving: Serving) -> Recheck | Refusal:
    """Look at every passage again, and at the corpus also where nothing was found in it."""
    if context.retrieval.corpus is None:
        return Recheck(lost=(), has_moved=False)
    return await look_again(context, serving)


def _forget(context: Checked, found: Recheck, serving: Serving) -> None:
    """Forget every answer that rests on a passage which the store does not show any more."""
    retrieval = context.retrieval
    revisions = {item.passage.rev for item in retrieval.found if item.passage.marker in found.lost}
    serving.cache.lost(retrieval.corpus or "", revisions)


def _again(context: Guarded, kept: KeptAnswer, serving: Serving) -> Checked:
    nothing_used = Usage(prompt_tokens=0, completion_tokens=0)
    return extend(
        context,
        Checked,
        retrieval=kept.retrieval,
        retrieved_us=serving.elapsed_us(context.started),
        prompt=GenerationRequest(messages=(), question=context.question.text, passages=()),
        canary=secrets.token_hex(CANARY_BYTES),
        warnings=warnings_of(context),
        generation=replace(
            kept.generation,
            usage=nothing_used,
            retries=0,
            cost_nano=serving.cost_nano(context.release.content, nothing_used),
            first_us=None,
            cached=True,
        ),
        verdict=kept.verdict,
    )


def _key_before(context: Guarded, serving: Serving) -> Digest | None:
    """Return the key by what the asker may see now; None where that cannot be told."""
    if context.release.content.corpora:
        seen = serving.retriever.seen(context)
        return None if seen is None else _key(context, seen)
    empty: Retrieval = nothing(context, serving)
    return _key(context, Seen(as_of=empty.as_of, acl_generation=0, allowed_fingerprint=""))


def _key(context: Guarded, seen: Seen) -> Digest:
    content, space, principal = context.release.content, context.place.space, context.asker.principal
    pin = content.corpora.get(space.data_stage)
    basis = Basis(
        release=content.digest,
        corpus=None if pin is None else pin.digest,
        generation=seen.acl_generation,
        allowed=seen.allowed_fingerprint,
        as_of=seen.as_of.isoformat(),
        regions=(principal.region, space.region),
        messages=tuple((turn.role, turn.text) for turn in context.question.turns),
        parameters={"max_tokens": max_tokens_of(context)},
        principal=principal.id if content.guard.cache is CacheMode.PRIVATE else None,
    )
    return basis.key


def _may_be_shared(context: Guarded, serving: Serving) -> bool:
    """Tell whether this question may meet an earlier answer: a person's, without personal data, under plain rules."""
    content, question = context.release.content, context.question
    if context.asker.kind not in _PEOPLE or content.guard.tools:
        return False
    if question.stored != question.text or _is_personal(question.findings):
        return False
    pin = content.corpora.get(context.place.space.data_stage)
    settings = None if pin is None else serving.workspace.corpora.get(pin.name)
    return settings is None or settings.recheck is not Rechecked.ALL


def _may_be_kept(context: Checked) -> bool:
    """Tell whether an answer is whole, and free of refusals, errors and personal data."""
    verdict, retrieval = context.verdict, context.retrieval
    findings = (*context.question.findings, *retrieval.findings, *verdict.findings)
    if verdict.refusal not in {None, "not_found"} or context.generation.finish not in _WHOLE:
        return False
    if _is_personal(findings) or any(one.type == CHECK_FAILED for one in findings):
        return False
    shown = (part for item in retrieval.found for part in _parts(item.passage))
    return not any(map(_USUAL.find, (verdict.text, *shown)))


def _parts(passage: Passage) -> tuple[str, ...]:
    return passage.title, passage.section, passage.heading, passage.text


def _is_personal(findings: Iterable[Finding]) -> bool:
    return any(one.check in _PERSONAL for one in findings)
