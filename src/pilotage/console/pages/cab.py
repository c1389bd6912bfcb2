"""CAB: authorise? A board's session, one release at a time: pack, seats, dissent, questions, votes, minutes.

Rule: votes and acceptances are the gate's own commands; a vote may be given before the session, and the page says so.
Fail mode: a board that cannot decide says why on top; a release without a pack offers to make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotage.adapters.pack_pdf import layout_pdf, pack_pdf
from pilotage.console.pages.gate import accept_typed, cast_vote, may_not_accept, risk_template
from pilotage.console.reply import Download, Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import Status, gate_status
from pilotage.control.call_session import call_session, may_prepare, submit_release
from pilotage.control.close_session import close_session
from pilotage.control.make_cab_pack import kept_pack, make_cab_pack
from pilotage.control.session_questions import answer_question, ask_question, may_answer
from pilotage.control.sign_gate import vote_refusal
from pilotage.control.view_session import (
    ItemView,
    SessionView,
    find_named,
    list_sessions,
    session_minutes,
    view_session,
)
from pilotage.core.clock import read_moment
from pilotage.core.digest import short
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.gate.minutes import lay_out_minutes
from pilotage.gate.pack import Section
from pilotage.gate.pack_layout import TITLES, Block, lay_out, section_of
from pilotage.gate.session import SessionState, seated
from pilotage.gate.vocabulary import VoteDecision, said

_SHOWN: Final = (Section.CHANGES, Section.RISKS, Section.ROLLOUT, Section.ROLLBACK, Section.RESOURCES)
"""Sections of the pack that the session shows beside the release; the whole pack is one link away."""

_BOARD: Final = "cab"


def show_sessions(visit: Visit) -> Page:
    """Show the next session, what could be submitted, and sessions before."""
    found = list_sessions(visit.reading, before=visit.query.get("page"))
    refusal = may_prepare(visit.actor.roles, _BOARD)
    values: Mapping[str, object] = {
        "found": found,
        "states": {one.id: one.state(found.at).value for one in found.sessions},
        "may_not_call": () if refusal is None else refusal.reasons,
    }
    return Page(template="sessions.html", title="Board sessions", values=values)


def call(visit: Visit) -> Reply | Refusal:
    """Call a session; the time is typed as UTC, and empty means now."""
    text = visit.typed("starts_at").strip()
    releases = [name.removeprefix("release.") for name in visit.form if name.startswith("release.")]
    begins = None if not text else read_moment(text)
    done = call_session(visit.instance, actor=visit.actor, gate=_BOARD, starts_at=begins, releases=releases)
    return done if isinstance(done, Refusal) else Redirect(to=f"/cab/{done.id}")


def show_session(visit: Visit) -> Page:
    """Show a session with the release that is taken now."""
    view = view_session(visit.reading, actor=visit.actor, session=visit.params["session"], item=_item(visit))
    gate = view.session.gate
    roles = visit.actor.roles
    refusals = {
        "prepare": may_prepare(roles, gate),
        "ask": vote_refusal(roles, gate),
        "answer": may_answer(roles, gate),
        "close": vote_refusal(roles, gate),
    }
    values: dict[str, object] = {
        "view": view,
        "session": view.session,
        "state": view.state.value,
        "is_closed": view.state is SessionState.CLOSED,
        "unknown": Status.UNKNOWN,
        "agenda": [(one, gate_status(one.report.status.value), _counts(one), _result(view, one)) for one in view.items],
        "why_not": {name: () if refusal is None else refusal.reasons for name, refusal in refusals.items()},
        "may_not_accept": may_not_accept(visit),
        **_chosen(view),
    }
    return Page(template="session.html", title=f"Session of the {gate} board", values=values, about=view.session.id)


def _item(visit: Visit) -> int | None:
    text = visit.typed("item") or visit.query.get("item", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None


def _counts(one: ItemView) -> str:
    """Return how the seats stand, in words: `4 approved, 1 rejected, 1 absent`."""
    words = [said(seated(seat)) for seat in one.report.signoffs if seat.is_seat]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def _result(view: SessionView, one: ItemView) -> tuple[Status, str] | None:
    """Return what the minutes say of a release, as its word and in words; None while there are none."""
    found = view.decided.get(one.release.digest)
    return None if found is None else (gate_status(found.value), found.value.replace("_", " "))


def _chosen(view: SessionView) -> dict[str, object]:
    one, gate = view.chosen, view.gate
    if one is None or gate is None:
        return {"one": None}
    facts = None if one.pack is None else one.pack.facts
    parts: list[tuple[str, tuple[Block, ...]]] = (
        [] if facts is None else [(TITLES[section], section_of(facts, section)) for section in _SHOWN]
    )
    signoffs = one.report.signoffs
    return {
        "one": one,
        "gate": gate,
        "parts": parts,
        "seats": [seat for seat in signoffs if seat.is_seat],
        "signers": [role for role in signoffs if not role.is_seat],
        "dissent": [
            (vote, next((role.covered_by for role in signoffs if role.role is vote.role), None))
            for vote in gate.last_of.values()
            if vote.decision is not VoteDecision.APPROVE and vote.attempt == one.report.attempt
        ],
        "questions": view.session.about(one.release.digest),
        "risk_template": risk_template(gate),
        "kept": {"item": one.item.position, "release": short(one.release.digest)},
        "address": f"/cab/{view.session.id}",
    }


def _back(visit: Visit, anchor: str = "") -> Redirect:
    place = f"?item={_item(visit)}" if _item(visit) is not None else ""
    return Redirect(to=f"/cab/{visit.params['session']}{place}{anchor}")


def _release(visit: Visit) -> str:
    if not visit.typed("release"):
        raise UsageError("RELEASE_MISSING", "Choose a release.")
    return visit.typed("release")


def vote(visit: Visit) -> Reply | Refusal:
    """Record a decision about the release that is taken now."""
    session = find_named(visit.reading, visit.params["session"])
    done = cast_vote(visit, session.gate, _release(visit), is_grave=True)
    return done if isinstance(done, Refusal) else _back(visit, "#votes")


def accept(visit: Visit) -> Reply | Refusal:
    """Accept a documented risk of the release that is taken now."""
    session = find_named(visit.reading, visit.params["session"])
    done = accept_typed(visit, session.gate, _release(visit))
    return done if isinstance(done, Refusal) else _back(visit, "#risks")


def make_pack(visit: Visit) -> Reply | Refusal:
    """Make the board's pack of the release that is taken now, or find that the frozen one still holds."""
    session = find_named(visit.reading, visit.params["session"])
    done = make_cab_pack(visit.instance, actor=visit.actor, release=_release(visit), gate=session.gate)
    return done if isinstance(done, Refusal) else _back(visit, "#pack")


def submit(visit: Visit) -> Reply | Refusal:
    """Put a release at the end of the agenda."""
    name = visit.params["session"]
    done = submit_release(visit.instance, actor=visit.actor, session=name, release=_release(visit))
    return done if isinstance(done, Refusal) else Redirect(to=f"/cab/{name}?item={len(done.agenda)}")


def ask(visit: Visit) -> Reply | Refusal:
    """Ask about the release that is taken now."""
    name, text = visit.params["session"], visit.typed("question")
    done = ask_question(visit.instance, actor=visit.actor, session=name, release=_release(visit), text=text)
    return done if isinstance(done, Refusal) else _back(visit, "#questions")


def answer(visit: Visit) -> Reply | Refusal:
    """Answer a question."""
    name, text = visit.params["session"], visit.typed("answer")
    done = answer_question(
        visit.instance, actor=visit.actor, session=name, question=visit.params["question"], text=text
    )
    return done if isinstance(done, Refusal) else _back(visit, "#questions")


def close(visit: Visit) -> Reply | Refusal:
    """Close the session and record its minutes."""
    name = visit.params["session"]
    done = close_session(visit.instance, actor=visit.actor, session=name, note=visit.typed("note"))
    return done if isinstance(done, Refusal) else Redirect(to=f"/cab/{name}/minutes")


def show_minutes(visit: Visit) -> Page:
    """Show the minutes, or a draft while the session is open."""
    name = visit.params["session"]
    layout = lay_out_minutes(session_minutes(visit.reading, name))
    values = {"layout": layout, "up": f"/cab/{name}", "up_words": "The session", "pdf": f"/cab/{name}/minutes/pdf"}
    return Page(template="paper.html", title=layout.title, values=values, about=layout.foot)


def download_minutes(visit: Visit) -> Download:
    """Return the minutes as PDF."""
    name = visit.params["session"]
    body = layout_pdf(lay_out_minutes(session_minutes(visit.reading, name)))
    return Download(body=body, media="application/pdf", filename=f"minutes-{name}.pdf")


def show_pack(visit: Visit) -> Page:
    """Show a frozen pack."""
    pack = kept_pack(visit.reading, visit.params["pack"])
    layout = lay_out(pack.facts)
    up = f"/releases/{short(pack.release)}/gates/{pack.gate}"
    values = {"layout": layout, "up": up, "up_words": "The gate", "pdf": f"/packs/{pack.digest}/pdf"}
    return Page(template="paper.html", title=layout.title, values=values, about=pack.digest)


def download_pack(visit: Visit) -> Download:
    """Return a frozen pack as PDF."""
    pack = kept_pack(visit.reading, visit.params["pack"])
    name = short(pack.digest)
    return Download(body=pack_pdf(pack.facts), media="application/pdf", filename=f"cab-pack-{name}.pdf")
