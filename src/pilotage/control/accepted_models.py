"""The models of a provider that people accept for a release in a space though no run met them (gates.md 1.4, 4.5).

Rule: a risk acceptance of medium severity or higher, at a gate into that space, that names the space and the finding
`MODEL_IDENTITY_CHANGED MODEL (FINGERPRINT)`, accepts that one model while it holds. Fail mode: where the gates cannot
be read, nothing is accepted.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import Connection

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import gates_into, input_of, report_of
from pilotage.control.gate_inputs import accepted_finding
from pilotage.control.instance import Instance
from pilotage.core.errors import PilotageError
from pilotage.evaluation.answering_model import Identity, finding_of
from pilotage.space.settings import Space
from pilotage.store.gate_people import findings_accepted
from pilotage.store.model_identity import Identities
from pilotage.store.releases import named_release

LOG: Final = logging.getLogger("pilotage.models")


def accepted_models(connection: Connection, instance: Instance, known: Identities, space: Space) -> frozenset[Identity]:
    """Return which of a place's changes somebody accepts now."""
    release = known.place.release
    asked = {finding_of(change.identity): change.identity for change in known.changes}
    named = asked.keys() & findings_accepted(connection, release)
    if not named:
        return frozenset()
    try:
        with connection.begin_nested():
            chain = open_chain(connection, instance, named_release(connection, release), instance.clock.now())
            found: set[Identity] = set()
            for gate in gates_into(chain, space):
                report_of(chain, gate, space=space.name)
                given = input_of(chain, gate, space=space.name)
                risks = {one: accepted_finding(chain, given, one) for one in named}
                found |= {asked[one] for one, risk in risks.items() if risk is not None and space.name in risk.spaces}
            return frozenset(found)
    except PilotageError as error:
        LOG.warning("The gates of %s cannot be read, so no model is accepted: %s", release[:19], error.code)
        return frozenset()
