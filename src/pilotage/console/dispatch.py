"""From a request to a reply: route, session, guards, page or command, and errors as pages. Runs in a worker thread.

Rule: whoever may not open a page is told the missing role; a refused command shows its form again with every reason.
Fail mode: an unexpected exception is a page with a reference id; its trace goes to the log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode

from sqlalchemy.exc import DataError, SQLAlchemyError

from pilotage.console.guards import FORM_TOKEN, is_form_token
from pilotage.console.incoming import Bringing
from pilotage.console.pages.login import login_page
from pilotage.console.pages.problem import method_page, problem_page
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.route import Entry, Match, Table
from pilotage.console.visit import Visit
from pilotage.control.console_form import act_once
from pilotage.control.console_session import find_session
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of, digest_of_json
from pilotage.core.errors import Conflict, NotFound, NotPermitted, PilotageError, Unavailable, UsageError
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.roles import may

logger = logging.getLogger(__name__)

ABOUT_THE_PERSON: Final = frozenset(
    {"NOT_PERMITTED", "NOT_STEWARD", "SECOND_PERSON_NEEDED", "SOD_CONFLICT", "SOD_SERVICE"}
)
UNREADABLE: Final = Reason(
    code="VALUE_UNREADABLE", text="A value of this request can be neither looked up nor kept. Write it differently."
)

_OPTION: Final = re.compile(r"(?:^|\s)--[a-z]")
_COMMAND: Final = re.compile(r"`[^`]*`")
_OF_THE_PAGE: Final = frozenset({"token", "key"})


def respond(table: Table, visit: Visit, token: str | None) -> tuple[Visit, Reply]:
    """Return the reply to one request, with who sent it; never raises. `token` is the session's, if one was sent."""
    try:
        match = table.match(visit.method, visit.path)
        visit = replace(visit, page="" if match.entry is None else match.entry.name)
        if token is not None:
            visit = replace(visit, signed_in=find_session(visit.reading, token))
        return visit, _routed(table, match, visit)
    except PilotageError as error:
        return visit, problem_page(status_of(error), (reason_of(error),))
    except DataError:
        # PostgreSQL holds no such value, a NUL say: nothing is called that, and nothing can be kept under it.
        logger.exception("A value of %s cannot be looked up or kept.", visit.path)
        return visit, problem_page(422 if visit.method == "POST" else 404, (UNREADABLE,))
    except SQLAlchemyError:
        reference = new_ulid(visit.now)
        logger.exception("The console could not read %s, reference %s.", visit.path, reference)
        return visit, problem_page(503, (_store_down(visit, reference),))
    except Exception:
        # The edge of the process: the person gets a reference, the log gets the trace.
        reference = new_ulid(visit.now)
        logger.exception("The console failed at %s, reference %s.", visit.path, reference)
        return visit, problem_page(500, (unexpected(reference),))


def before_the_form(table: Table, visit: Visit, token: str | None) -> tuple[Visit, Page] | Bringing | None:
    """Return who may bring files with the form that follows, or why not; None where none are taken, or of nobody.

    Asked before the body is read; when it cannot be answered nobody may.
    """
    match = table.match(visit.method, visit.path)
    entry = match.entry
    if entry is None or entry.takes_files is None or token is None:
        return None
    try:
        signed_in = find_session(visit.reading, token, touch=False)
    except (PilotageError, SQLAlchemyError):
        return None
    if signed_in is None:
        return None
    visit = replace(visit, page=entry.name, params=match.params, signed_in=signed_in)
    refusal = None if entry.needs is None else may(visit.actor.roles, entry.needs)
    refusal = refusal or entry.takes_files(visit.actor)
    if refusal is not None:
        return visit, problem_page(_status_of_refusal(refusal), refusal.reasons)
    return Bringing(person=str(visit.actor.id), session=signed_in.token)


def _routed(table: Table, match: Match, visit: Visit) -> Reply:
    entry = match.entry
    if entry is None:
        if match.allowed:
            return method_page(match.allowed, table.page_above(visit.path))
        text = f"There is no page at {visit.path[:200]}."
        raise NotFound("PAGE_UNKNOWN", text, hint="Check the address, or go on from below.")
    visit = replace(visit, params=match.params)
    if entry.needs is not None and visit.signed_in is None:
        return _sign_in_first(visit, entry)
    refusal = None if entry.needs is None else may(visit.actor.roles, entry.needs)
    if refusal is not None:
        return problem_page(403, refusal.reasons)
    if entry.method == "POST":
        return _posted(entry, visit)
    return _shown(entry.handle(visit))


def _shown(reply: Reply | Refusal) -> Reply:
    if isinstance(reply, Refusal):
        return problem_page(_status_of_refusal(reply), reply.reasons)
    return reply


def _sign_in_first(visit: Visit, entry: Entry) -> Reply:
    if visit.method == "POST":
        return login_page(visit, kept=entry)
    return Redirect(to=f"/login?next={quote(whole_address(visit), safe='/')}")


def whole_address(visit: Visit) -> str:
    """Return the path with its query, to come back to."""
    return f"{visit.path}?{urlencode(visit.query)}" if visit.query else visit.path


def _posted(entry: Entry, visit: Visit) -> Reply:
    if visit.signed_in is not None and not is_form_token(visit.signed_in.token, visit.typed("token")):
        return problem_page(403, (FORM_TOKEN,))
    if visit.signed_in is not None:
        visit.services.waiting.forget(visit.actor)
    is_grave = entry.is_grave is not None and entry.is_grave(visit)
    if is_grave and visit.signed_in is not None and not visit.signed_in.is_recent(visit.now):
        return login_page(visit, kept=entry)
    try:
        result = _once(entry, visit) if entry.is_decision else entry.handle(visit)
    except (UsageError, Conflict, NotPermitted) as error:
        if isinstance(error, NotFound) or entry.back is None:
            raise
        return _again(entry.back, visit, (reason_of(error),), status_of(error))
    if not isinstance(result, Refusal):
        return result
    if entry.back is None:
        return _shown(result)
    return _again(entry.back, visit, result.reasons, _status_of_refusal(result))


def _once(entry: Entry, visit: Visit) -> Reply | Refusal:
    def act() -> str | Refusal:
        reply = entry.handle(visit)
        if isinstance(reply, Refusal):
            return reply
        if not isinstance(reply, Redirect):
            message = f"The decision form {entry.path} does not lead to a page."
            raise TypeError(message)
        return reply.to

    key = visit.typed("key")
    led = act_once(visit.instance, actor=visit.actor, key=key, path=visit.path, content=_content(visit), act=act)
    return led if isinstance(led, Refusal) else Redirect(to=led)


def _content(visit: Visit) -> Digest:
    """Return the digest of what the form says, without the keys that the page gave it."""
    fields: dict[str, Json] = {name: value for name, value in visit.form.items() if name not in _OF_THE_PAGE}
    files: dict[str, Json] = {name: digest_of(part.data) for name, part in visit.files.items()}
    return digest_of_json({"fields": fields, "files": files})


def _again(back: Callable[[Visit], Reply], visit: Visit, problems: tuple[Reason, ...], status: int) -> Reply:
    """Show the form's page again with what was typed and why it was not carried out."""
    visit = replace(visit, problems=problems)
    reply = back(visit)
    return replace(reply, status=status, values={**reply.values, "visit": visit}) if isinstance(reply, Page) else reply


def status_of(error: PilotageError) -> int:
    """Return the HTTP status of an error."""
    match error:
        case NotFound():
            return 404
        case UsageError():
            return 422
        case NotPermitted():
            return 403
        case Conflict():
            return 409
        case Unavailable():
            return 503
        case _:
            return 500


def reason_of(error: PilotageError) -> Reason:
    """Return an error as the reason a page prints: where a hint names an option to type, the form has a field."""
    hint = "" if _OPTION.search(_COMMAND.sub("", error.hint)) else error.hint
    return Reason(code=error.code, text=f"{error.message} {hint}".strip())


def _status_of_refusal(refusal: Refusal) -> int:
    return 403 if any(reason.code in ABOUT_THE_PERSON for reason in refusal.reasons) else 409


def _store_down(visit: Visit, reference: str) -> Reason:
    done = " Nothing was recorded." if visit.method == "POST" else ""
    text = (
        f"The database does not answer in time.{done} Try again; if it stays, give support the reference {reference}."
    )
    return Reason(code="STORE_UNAVAILABLE", text=text, where=reference)


def unexpected(reference: str) -> Reason:
    """Return what a person is told of a failure of ours."""
    text = f"Something went wrong here, and it is our fault. Give support the reference {reference}."
    return Reason(code="INTERNAL", text=text, where=reference)
