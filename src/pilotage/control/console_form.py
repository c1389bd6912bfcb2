"""A decision form acts once, however often it is sent (console.md 5).

Rule: the key is claimed before the command runs, for all that the form says, and names where it led afterwards. Fail
mode: a form whose first sending has not ended is a Conflict; a key that comes again with other content is an error and
never the answer to what was sent first.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.store.console_forms import claim_form, finish_form, free_form

_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")


def act_once(
    instance: Instance, *, actor: Principal, key: str, path: str, content: Digest, act: Callable[[], str | Refusal]
) -> str | Refusal:
    """Run `act`, which returns where to go next, unless this form ran before; then return where that one led.

    `content` is the digest of all that the person entered and chose.
    """
    if _KEY.fullmatch(key) is None:
        raise UsageError("FORM_KEY", "The form carries no key of its own.", hint="Open the page again and resend.")
    form = f"{path}#{content}"
    with instance.engine.begin() as connection:
        sent = claim_form(connection, actor.id, key, path=form, at=instance.clock.now())
    if sent is not None:
        return _led_to(sent.location, form, sent.path)
    done = False
    try:
        result = act()
        done = not isinstance(result, Refusal)
    finally:
        if not done:
            with instance.engine.begin() as connection:
                free_form(connection, actor.id, key)
    if isinstance(result, Refusal):
        return result
    with instance.engine.begin() as connection:
        finish_form(connection, actor.id, key, result)
    return result


def _led_to(location: str | None, form: str, first: str) -> str:
    if form != first:
        message = "This form was sent before with something else in it; what it says now was not recorded."
        raise UsageError("FORM_KEY", message, hint="Look at the page, then send it again from there.")
    if location is None:
        message = "This form was sent before and has not ended yet."
        raise Conflict("FORM_RUNNING", message, hint="Look at the page before you send it again.")
    return location
