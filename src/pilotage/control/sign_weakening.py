"""`pilotage golden sign-off`: a person says that a golden set may be easier than the approved one (evaluation.md 2.6).

Rule: a declared person who may edit golden sets, and who made neither this golden set nor the prompt, nor sealed the
release; each case is named. The sign-off is a ledger entry about the golden part. Fail mode: a Refusal with every
reason, UsageError for a case that is not easier; nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.control.golden_people import UNKNOWN_AUTHOR, undeclared
from pilotage.control.instance import Instance
from pilotage.control.kept_cases import approved_golden, golden_part, weakened
from pilotage.control.record_entry import record
from pilotage.control.sealed_golden import SealedGolden, sealed_golden
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.authorship import persons
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.golden_candidates import lock_golden
from pilotage.store.releases import StoredRelease, authors_of_parts, named_release

_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedWeakening:
    """What was signed off: the cases that may be easier in `release` than in `approved`."""

    release: Digest
    approved: Digest
    cases: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """Return every field."""
        return {"release": self.release, "approved": self.approved, "cases": list(self.cases)}


def sign_weakening(
    instance: Instance, *, actor: Principal, release: str, cases: Sequence[str], reason: str
) -> SignedWeakening | Refusal:
    """Sign off that these cases are easier, or gone, in a release."""
    if not reason.strip():
        raise UsageError("REASON_MISSING", "A sign-off needs a reason.", hint="Say why the cases may be easier.")
    with instance.engine.begin() as connection:
        stored = named_release(connection, release)
        lock_golden(connection, stored.workflow)  # a run that begins sees this sign-off, or is older than it
        refusal = undeclared(actor) or may(actor.roles, Action.EDIT_GOLDEN) or _maker(connection, actor, stored)
        if refusal is not None:
            return refusal
        new = sealed_golden(connection, stored.digest)
        old = approved_golden(connection, instance, stored.digest)
        named = tuple(sorted(set(cases)))
        before = _check_cases(old, new, named)
        signed = SignedWeakening(release=stored.digest, approved=before.release, cases=named)
        record(
            connection,
            EntryKind.EVALUATION_WEAKENING_SIGNED,
            actor=actor,
            at=instance.clock.now(),
            subject=golden_part(connection, stored.digest),
            data={**signed.as_json(), "before": golden_part(connection, before.release)},
            opened={"reason": reason.strip()},
        )
    return signed


def _check_cases(old: SealedGolden | None, new: SealedGolden, named: tuple[str, ...]) -> SealedGolden:
    """Return the approved golden set; raise UsageError for a case that is no easier than there, and for none."""
    easier = sorted({one.case_id for one in weakened(old, new)}) if old is not None else []
    wrong = [case for case in named if case not in easier]
    if old is None or wrong or not named:
        known = ", ".join(easier[:_SHOWN]) or "none is easier than in the last approved release"
        what = f"{wrong[0]!r} is not easier" if wrong else "No case is named, or nothing was approved before"
        raise UsageError("NOT_WEAKENED", f"{what}; there is nothing to sign off.", hint=f"Easier cases: {known}.")
    return old


def _maker(connection: Connection, actor: Principal, stored: StoredRelease) -> Refusal | None:
    parts = read_manifest(stored.manifest, digest=stored.digest).parts
    found = authors_of_parts(connection, [parts[PartKind.GOLDEN], parts[PartKind.PROMPT]])
    makers = {str(one) for authors in found.values() for one in persons(authors)} | {stored.sealed_by}
    if actor.person in makers:
        text = "You made the golden set or the prompt, or sealed the release; somebody else signs off what is easier."
        return Refusal(
            reasons=(Reason(code="SOD_CONFLICT", text=text, where=stored.digest, observed=str(actor.person)),)
        )
    if UNKNOWN_AUTHOR in makers:
        text = (
            "An author's address belongs to nobody here, so nobody can tell who may sign off. Add it to pilotage.yaml."
        )
        return Refusal(reasons=(Reason(code="AUTHOR_UNKNOWN", text=text, where=stored.digest),))
    return None
