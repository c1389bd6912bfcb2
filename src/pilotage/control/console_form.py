"""A decision form acts once, however often it is sent (console.md 5).

Rule: the key is claimed before the command runs and names where it led afterwards. Fail mode: a form whose first
sending has not ended is a Conflict; the person is told to look before trying again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pilotage.control.instance import Instance
from pilotage.core.errors import Conflict, UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.store.console_forms import claim_form, finish_form, free_form

_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")


def act_once(
    instance: Instance, *, actor: Principal, key: str, path: str, act: Callable[[], str | Refusal]
) -> str | Refusal:
    """Run `act`, which returns where to go next, unless this form ran before; then return where that one led."""
    if _KEY.fullmatch(key) is None:
        raise UsageError("FORM_KEY", "The form carries no key of its own.", hint="Open the page again and resend.")
    with instance.engine.begin() as connection:
        sent = claim_form(connection, actor.id, key, path=path, at=instance.clock.now())
    if sent is not None:
        return _led_to(sent.location, path, sent.path)
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


def _led_to(location: str | None, path: str, first: str) -> str:
    if path != first:
        raise UsageError("FORM_KEY", "The form's key belongs to another form.", hint="Open the page again and resend.")
    if location is None:
        message = "This form was sent before and has not ended yet."
        raise Conflict("FORM_RUNNING", message, hint="Look at the page before you send it again.")
    return location
