"""`pilotage report risks`: the register of a release as the gates see it now, worst first. Reads only."""

from __future__ import annotations

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import report_of
from pilotage.control.gate_inputs import risk_register
from pilotage.control.instance import Instance
from pilotage.gate.risks import Risk
from pilotage.store.releases import named_release
from pilotage.workspace.gate import Binding


def risks_of(instance: Instance, release: str) -> tuple[Risk, ...]:
    """Return declared and generated risks; the latter from the gates that come before the board's."""
    with instance.engine.connect() as connection:
        chain = open_chain(connection, instance, named_release(connection, release), instance.clock.now())
        boards = [gate for gate in instance.workspace.gates.values() if Binding.CAB_PACK in gate.binds]
        for name in sorted({before for gate in boards for before in gate.after} or set(instance.workspace.gates)):
            report_of(chain, name)
        return tuple(sorted(risk_register(chain), key=lambda one: (-one.score, one.id)))
