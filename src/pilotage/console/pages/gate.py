"""Gate: do I sign? The result, the criteria, the evidence and the votes, in that order; then one decision form.

Rule: the form carries the bind of everything that is shown, and is refused (409) when any of it moved since. What may
not be done is printed with its reason. Fail mode: a gate that cannot be judged is NOT MET, and says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from pilotage.console.render import count
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import Status, criterion_status, gate_status
from pilotage.control.accept_risk import Accepted, RiskText, accept_risk
from pilotage.control.preview_vote import GateView, view_gate
from pilotage.control.sign_gate import Ballot, Signed, sign_gate
from pilotage.core.digest import short
from pilotage.core.errors import UsageError
from pilotage.core.reason import Outcome, Reason, Refusal
from pilotage.evaluation.run import RunKind
from pilotage.evidence.superseding import BASELINE
from pilotage.gate.report import CriterionResult, GateReport
from pilotage.gate.vocabulary import Half
from pilotage.identity.roles import Action, may

GRAVE_GATES: Final = frozenset({"cab", "go-live"})
"""Gates whose votes ask for a fresh sign-in and the first eight digits of the release, typed."""


NOT_ASKED: Final = "It asks nothing of this workflow, or of a first release."


def show_gate(visit: Visit) -> Page:
    """Show one gate of one release to the person who may sign it."""
    view = _view(visit)
    report = view.report
    values: Mapping[str, object] = {
        "view": view,
        "report": report,
        "gate_word": gate_status(report.status.value),
        "standing": standing(report),
        "decided": [(one, gate_status(one.status.value)) for one in view.decided],
        "rows": [(one, word_of(one), _shown(one)) for one in report.criteria],
        "compared": compared(view),
        "names": {item.id: item for item in view.evidence},
        "is_grave": report.gate in GRAVE_GATES,
        "may_not_accept": may_not_accept(visit),
        "risk_template": risk_template(view),
        "seats": [one for one in report.signoffs if one.is_seat],
        "signoffs": [one for one in report.signoffs if not one.is_seat],
        "kept": _kept(visit),
        "has_post": visit.instance.workspace.gates[report.gate].post is not None,
    }
    title = f"Gate {report.gate} for {short(view.release.digest)}"
    return Page(template="gate.html", title=title, values=values, about=view.release.digest)


def standing(report: GateReport) -> str:
    """Return in a sentence what keeps a gate from being met; "" when nothing does."""
    unmet = [one for one in report.criteria if not one.holds]
    if not report.criteria and not report.signoffs:
        return "Blocked: an empty gate passes nobody."
    if unmet:
        return f"{len(unmet)} of {count(len(report.criteria), 'criterion', 'criteria')} open."
    if report.status.is_approved:
        return ""
    holds = "Every criterion holds" if report.criteria else "It has no criteria"
    if any(one.rejected_by and not one.covered_by for one in report.signoffs):
        return f"{holds}; somebody rejected it."
    if any(not one.is_complete and not one.covered_by for one in report.signoffs):
        return f"{holds}; what is missing are people."
    return f"{holds}, nobody is missing; what stands against it is said below."


def _view(visit: Visit) -> GateView:
    return view_gate(
        visit.reading,
        actor=visit.actor,
        release=visit.params["digest"],
        gate=visit.params["gate"],
        space=_kept(visit).get("space"),
        half=_half(visit),
    )


def _kept(visit: Visit) -> dict[str, str]:
    """Return what of the address and the form tells which space and half of the gate are looked at."""
    found = {name: visit.query.get(name) or visit.typed(name) for name in ("space", "half")}
    return {name: value for name, value in found.items() if value}


def _half(visit: Visit) -> Half:
    return Half.POST if _kept(visit).get("half") == Half.POST.value else Half.PRE


def word_of(one: CriterionResult) -> Status:
    """Return a criterion's word: met also when an acceptance covers it, which is printed beside it."""
    if one.accepted_by is not None:
        return Status.MET
    if one.is_only_expired:
        return Status.EXPIRED
    return Status.MET if one.state == "n/a" else criterion_status(one.outcome)


def compared(view: GateView) -> dict[str, str]:
    """Return by criterion where the comparison stands that it looks at: that of a run with a baseline."""
    known = {item.id: item.refs.get(BASELINE, "") for item in view.evidence if item.kind == RunKind.EVALUATION.value}
    found = {
        one.id: next((known[item] for check in one.checks for item in check.evidence if known.get(item)), "")
        for one in view.report.criteria
    }
    after = short(view.release.digest)
    return {name: f"/compare?a={short(before)}&b={after}" for name, before in found.items() if before}


def _shown(one: CriterionResult) -> Mapping[str, str]:
    """Return what the row prints: the first condition that does not hold, else the first and all that is looked for."""
    bad = [check for check in one.checks if check.outcome is not Outcome.OK]
    check = bad[0] if bad else (one.checks[0] if one.checks else None)
    if check is None:
        return {"observed": "", "limit": "", "why": NOT_ASKED if one.state == "n/a" else ""}
    if check.reason is not None:
        limit = "" if check.observed is None and check.limit == check.condition else check.limit or ""
        return {"observed": check.observed or "", "limit": limit, "why": check.reason.text}
    return {"observed": check.observed or "", "limit": check.limit or check.condition, "why": one.looks_for}


def vote(visit: Visit) -> Reply | Refusal:
    """Record a decision, bound to what the page showed."""
    gate, digest = visit.params["gate"], visit.params["digest"]
    done = cast_vote(visit, gate, digest, is_grave=gate in GRAVE_GATES)
    return (
        done if isinstance(done, Refusal) else Redirect(to=f"/releases/{digest}/gates/{gate}{gate_query(visit)}#votes")
    )


def cast_vote(visit: Visit, gate: str, digest: str, *, is_grave: bool) -> Signed | Refusal:
    """Record the decision that a form of any page holds; a grave one needs the release's first digits, typed."""
    role = visit.typed("role")
    if not role:
        raise UsageError("ROLE_MISSING", "Choose the role in which you decide.")
    if not visit.typed("decision"):
        raise UsageError("DECISION_MISSING", "Choose approve, reject or abstain.")
    if is_grave:
        check_typed(visit, digest)
    signed_in = visit.signed_in
    ballot = Ballot(
        gate=gate,
        role=role,
        decision=visit.typed("decision"),
        comment=visit.typed("comment"),
        checklist=_answers(visit),
        bind=visit.typed(f"bind.{role}"),
        half=_half(visit),
        space=visit.typed("space") or None,
        nonce=visit.typed("key"),
        login=None if signed_in is None else signed_in.login,
    )
    return sign_gate(visit.instance, actor=visit.actor, release=digest, ballot=ballot)


def _answers(visit: Visit) -> dict[str, str]:
    """Return what each item of the checklist was answered: ticked, or why it does not apply."""
    ticked = {name.removeprefix("check."): value for name, value in visit.form.items() if name.startswith("check.")}
    why = {name.removeprefix("na."): value.strip() for name, value in visit.form.items() if name.startswith("na.")}
    given = {item: f"n/a: {reason}" for item, reason in why.items() if reason}
    both = sorted(ticked.keys() & given.keys())
    if both:
        raise UsageError("CHECKLIST_BOTH", f"Tick {both[0]}, or write why it does not apply, not both.")
    return ticked | given


def is_grave(visit: Visit) -> bool:
    """Tell whether a vote at this gate asks for a fresh sign-in."""
    return visit.params["gate"] in GRAVE_GATES


def accept(visit: Visit) -> Reply | Refusal:
    """Accept a documented risk, from the text the form holds."""
    gate, digest = visit.params["gate"], visit.params["digest"]
    done = accept_typed(visit, gate, digest)
    return (
        done if isinstance(done, Refusal) else Redirect(to=f"/releases/{digest}/gates/{gate}{gate_query(visit)}#risks")
    )


def accept_typed(visit: Visit, gate: str, digest: str) -> Accepted | Refusal:
    """Accept the risk that a form of any page holds."""
    check_typed(visit, digest)
    login = None if visit.signed_in is None else visit.signed_in.login
    text = RiskText(data=visit.typed("risk").encode(), login=login)
    return accept_risk(visit.instance, actor=visit.actor, release=digest, gate=gate, text=text)


def gate_query(visit: Visit) -> str:
    """Return the part of the address that tells which space and half are looked at."""
    kept = _kept(visit)
    return f"?{urlencode(kept)}" if kept else ""


def check_typed(visit: Visit, digest: str) -> None:
    """Raise UsageError unless the first eight digits of the release were typed."""
    typed = visit.typed("confirmed").strip().lower()
    wanted = digest.removeprefix("sha256:")[:8]
    if typed != wanted:
        message = f"Type {wanted}, the first eight digits of the release, to confirm."
        raise UsageError("CONFIRMATION", message)


def may_not_accept(visit: Visit) -> tuple[Reason, ...]:
    """Return why this person accepts no risk of any severity; nothing when they may accept some."""
    refusals = [may(visit.actor.roles, Action.ACCEPT_RISK, within=level) for level in ("low", "medium", "high")]
    missing = [refusal for refusal in refusals if refusal is not None]
    return missing[-1].reasons if len(missing) == len(refusals) else ()


def risk_template(view: GateView) -> str:
    """Return a risk file to fill in: the criteria and seats that stand open."""
    report: GateReport = view.report
    open_ = [one.id for one in report.criteria if not one.holds and one.accept != "never"]
    seats = [one.role.value for one in report.signoffs if one.is_seat and not one.is_complete]
    return (
        "risk: \nseverity: medium\n"
        f"criteria: [{', '.join(open_)}]\nseats: [{', '.join(seats)}]\n"
        "rationale: \ncompensating_controls: [ ]\nresidual: {likelihood: 2, impact: 2}\n"
        f"owner: \nspaces: [{', '.join(view.spaces)}]\nexpires: \n"
    )
