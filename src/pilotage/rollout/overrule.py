"""When people may go on although the statistic did not say GO (rollouts.md 7.3).

Rule: two persons who decide about steps or accept risks and are neither authors nor the starter, on the verdict as it
stands now. INCONCLUSIVE only for want of evidence and with the trip limits proven; NO-GO/hold with an acceptance of
enough authority; NO-GO/rollback never. Fail mode: a Refusal with every reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pilotage.analysis.eprocess import log_lt, threshold
from pilotage.analysis.verdict import Code, Effect, Judgement, Verdict
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal

LONGEST = timedelta(days=30)
_WANT_OF_EVIDENCE = frozenset({Code.INSUFFICIENT_EVIDENCE.value, Code.NO_CONTROL.value})
_NEVER = frozenset({"acl_leak", "residency", "ledger_failure", "secret_in_answer", "digest_mismatch"})
_SEVERITY = ("low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A risk acceptance for one step in one space. `bound`: the limit that was reached, as the verdict shows it."""

    verdict: Digest
    release: Digest
    space: str
    step: str
    bound: str
    owner: PersonId
    severity: str
    reason: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs it. `authority` is the highest severity this person may accept, or None.

    `may_decide`: whether the person holds a role that decides about steps or accepts risks.
    """

    person: PersonId
    is_author: bool
    is_starter: bool
    authority: str | None
    may_decide: bool


def overrule(
    verdict: Verdict,
    acceptance: Acceptance,
    signers: tuple[Signer, ...],
    *,
    now: datetime,
    fixed: Digest,
    trip_counts: TripCounts,
) -> Refusal | None:
    """Return None when the verdict may be overruled, else every reason why not.

    `verdict` is as of now, `fixed` the digest that was fixed for signing.
    """
    reasons = [*_scope(verdict, acceptance, fixed, now), *people_problems(signers), *_verdict(verdict, trip_counts)]
    if verdict.effect is Effect.HOLD:
        reasons += _authority(acceptance, signers)
    return Refusal(reasons=tuple(reasons)) if reasons else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCounts:
    """Requests and failures against the trip limits: errors over 1 %, answers slower than the trip latency."""

    error: tuple[int, int]
    stalled: tuple[int, int]
    error_trip: float
    slow: float
    alpha: float = 0.05

    def unproven(self) -> tuple[Reason, ...]:
        """Return the trip limits that the counts do not prove."""
        found: list[Reason] = []
        named = (("errors", self.error, self.error_trip), ("slow answers", self.stalled, self.slow))
        for name, (n, x), limit in named:
            value, needed = log_lt(n, x, limit), threshold(self.alpha)
            if value < needed:
                text = f"{name}: {x} in {n} do not prove less than {100 * limit:g} %, so nothing bounds the harm."
                found.append(
                    Reason(code="TRIP_UNPROVEN", text=text, where=name, observed=f"{value:.3f}", limit=f"{needed:.3f}")
                )
        return tuple(found)


def _scope(verdict: Verdict, acceptance: Acceptance, fixed: Digest, now: datetime) -> list[Reason]:
    found: list[Reason] = []
    if acceptance.verdict != fixed:
        text = f"The acceptance is for verdict {acceptance.verdict}; it now is {fixed}. Read it and sign again."
        found.append(Reason(code="STALE_VERDICT", text=text, observed=acceptance.verdict, limit=fixed))
    subject = verdict.subject
    named = (acceptance.release, acceptance.space, acceptance.step)
    if named != (subject.release, subject.space, subject.step):
        text = "The acceptance names another release, space or step."
        found.append(Reason(code="SCOPE", text=text, observed=" ".join(named)))
    if not acceptance.bound.strip() or not acceptance.reason.strip():
        found.append(
            Reason(code="INCOMPLETE", text="The acceptance must name the bound that was reached and a reason.")
        )
    if not now < acceptance.expires_at <= now + LONGEST:
        text = "A risk is accepted for at most 30 days, from now."
        found.append(Reason(code="EXPIRY", text=text, observed=to_text(acceptance.expires_at), limit="30 days"))
    return found


def people_problems(signers: tuple[Signer, ...]) -> list[Reason]:
    """Return what speaks against these people signing it."""
    found = [
        Reason(code="SOD_CONFLICT", text=f"{who.person} is an author of the release or started the rollout.")
        for who in signers
        if who.is_author or who.is_starter
    ]
    found += [
        Reason(
            code="NOT_PERMITTED",
            text=f"{who.person} neither decides about steps nor accepts risks. It takes a role that does.",
            observed=who.person,
        )
        for who in signers
        if not who.may_decide
    ]
    if len({who.person for who in signers}) < 2:
        text = "A second person has to sign the same acceptance."
        found.append(
            Reason(code="TWO_PERSONS", text=text, observed=str(len({who.person for who in signers})), limit="2")
        )
    return found


def _verdict(verdict: Verdict, counts: TripCounts) -> list[Reason]:
    codes = {reason.code for reason in verdict.reasons}
    if never := codes & _NEVER:
        return [_never(f"{', '.join(sorted(never))} is never acceptable")]
    if verdict.outcome is Judgement.GO:
        return [Reason(code="NOTHING_TO_OVERRULE", text="The verdict is GO; sign it with `rollout go`.")]
    if verdict.outcome is Judgement.NO_GO:
        if verdict.effect is Effect.ROLLBACK:
            return [_never("nobody overrules a verdict that takes the candidate out")]
        return []
    others = sorted(codes - _WANT_OF_EVIDENCE)
    if others:
        text = f"Only want of evidence can be overruled; this verdict also says {', '.join(others)}."
        return [Reason(code="NOT_OVERRULABLE", text=text, observed=", ".join(others))]
    return list(counts.unproven())


def _never(why: str) -> Reason:
    return Reason(code="RISK_NOT_ACCEPTABLE", text=f"This cannot be overruled: {why}.")


def _authority(acceptance: Acceptance, signers: tuple[Signer, ...]) -> list[Reason]:
    if acceptance.severity not in _SEVERITY:
        return [Reason(code="SEVERITY", text=f"{acceptance.severity!r} is no severity that can be accepted.")]
    needed = _SEVERITY.index(acceptance.severity)
    held = [_SEVERITY.index(who.authority) for who in signers if who.authority in _SEVERITY]
    if held and max(held) >= needed:
        return []
    text = f"None of the signers may accept a {acceptance.severity} risk."
    return [Reason(code="AUTHORITY", text=text, limit=acceptance.severity)]
