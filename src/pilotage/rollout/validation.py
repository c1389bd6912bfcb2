"""Whether a rollback is verified (rollouts.md 8.4): every check, with its numbers.

Rule: all must hold. Fail mode: what was not measured does not hold; the rollback is not verified and its incident
stays open.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pilotage.core.reason import Reason

QUIET = timedelta(seconds=60)
ZERO_LIMIT = timedelta(seconds=300)
VALID_LIMIT = timedelta(seconds=120)
MOST_QUESTIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """Critical questions asked of the target: in one process. `right_release`: every answer named the target."""

    process: str
    asked: int
    passed: int
    right_release: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was measured since the flip. `probes` None: nobody could ask; `critical` is how many questions exist.

    `last_candidate_answer`: from interaction records, never from the routing table. `target_answers`: False for
    `not_released` and maintenance, which have nothing to ask.
    """

    flipped_at: datetime
    candidate_answers_since: int | None
    last_candidate_answer: datetime | None = None
    target_answers: bool = True
    critical: int = 0
    processes: int = 0
    probes: tuple[ProbeResult, ...] | None = None
    is_healthy: bool | None = None
    error_trip_silent: bool | None = None


def unmet(facts: Facts, now: datetime) -> tuple[Reason, ...]:
    """Return what is not verified yet; nothing means verified."""
    found = list(_quiet(facts, now))
    if facts.target_answers:
        found += probe_reasons(facts.probes, processes=facts.processes, critical=facts.critical)
        if facts.is_healthy is not True:
            found.append(_reason("HEALTH_UNKNOWN", "The space does not report that it is healthy.", facts.is_healthy))
        if facts.error_trip_silent is not True:
            text = "The error trip of the release that was returned to is not silent."
            found.append(_reason("TARGET_TRIPS", text, facts.error_trip_silent))
    return tuple(found)


def _quiet(facts: Facts, now: datetime) -> tuple[Reason, ...]:
    if facts.candidate_answers_since is None:
        return (_reason("RECORDS_UNREAD", "Records since the flip could not be read.", None),)
    since = max(facts.flipped_at, facts.last_candidate_answer or facts.flipped_at)
    quiet = now - since
    if quiet >= QUIET:
        return ()
    text = f"{quiet.total_seconds():.1f} s have passed without an answer of the withdrawn release; 60 s are needed."
    return (Reason(code="NOT_QUIET", text=text, observed=f"{quiet.total_seconds():.1f} s", limit=f"{QUIET.seconds} s"),)


def probe_reasons(probes: tuple[ProbeResult, ...] | None, *, processes: int, critical: int) -> list[Reason]:
    """Return which critical questions have not passed yet, of the `critical` there are, in every live process."""
    if probes is None or len(probes) < processes:
        seen = len(probes or ())
        text = f"Critical questions were asked in {seen} of {processes} live processes."
        return [Reason(code="PROBES_MISSING", text=text, observed=str(seen), limit=str(processes))]
    wanted = min(MOST_QUESTIONS, critical)
    found: list[Reason] = []
    for probe in probes:
        if probe.asked < wanted or probe.passed < probe.asked:
            text = f"{probe.passed} of {probe.asked} critical questions passed in {probe.process}; {wanted} must."
            observed, limit = f"{probe.passed} of {probe.asked}", str(wanted)
            found.append(Reason(code="PROBE_FAILED", text=text, where=probe.process, observed=observed, limit=limit))
        if not probe.right_release:
            text = f"{probe.process} answered with another release than the one that is meant."
            found.append(Reason(code="WRONG_RELEASE", text=text, where=probe.process))
    return found


def _reason(code: str, text: str, observed: object) -> Reason:
    return Reason(code=code, text=text, observed="unknown" if observed is None else "no")
