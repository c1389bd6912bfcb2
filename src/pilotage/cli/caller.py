"""Who runs a command: a person named with --as, or a service by the key in PILOTAGE_KEY."""

from __future__ import annotations

import os

from pilotage.cli.options import Options
from pilotage.control.authenticate_key import Caller, authenticate_key
from pilotage.control.instance import Instance


def caller_of(instance: Instance, options: Options) -> Caller:
    """Return the caller; --as wins over the key. Raise NotPermitted or UsageError when nobody is proven."""
    key = os.environ.get("PILOTAGE_KEY", "")
    if options.person is None and key:
        return authenticate_key(instance, key)
    return Caller(principal=options.actor(instance))
