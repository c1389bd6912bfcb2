"""`pilotage gate status`: where a release stands at one gate or all, what is missing, and who can bring it.

Rule: computed from inputs and the time at every call, never stored. Fail mode: a gate that cannot be judged is blocked.
"""

from __future__ import annotations

from typing import Final

from pilotage.control.board_snapshot import notice_complete
from pilotage.control.gate_case import Chain, open_to_look
from pilotage.control.gate_chain import report_of
from pilotage.control.instance import Instance
from pilotage.core.errors import UsageError
from pilotage.core.ids import SpaceName
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import Half
from pilotage.store.releases import named_release
from pilotage.workspace.gate import Gate

MACHINE: Final = "system:gates"


def gate_status(
    instance: Instance, release: str, *, gate: str | None = None, space: str | None = None, half: Half = Half.PRE
) -> tuple[GateReport, ...]:
    """Return the report of one gate, or of every gate in the order a release passes them."""
    with instance.engine.begin() as connection:
        chain = open_to_look(connection, instance, named_release(connection, release), instance.clock.now())
        names = ordered_gates(instance) if gate is None else (gate,)
        reports = tuple(_report(chain, name, space=space, half=half) for name in names)
        notice_complete(chain, reports, by=MACHINE)
        return reports


def all_reports(chain: Chain) -> tuple[GateReport, ...]:
    """Return the report of every gate in the order a release passes them."""
    return tuple(_report(chain, name, space=None, half=Half.PRE) for name in ordered_gates(chain.instance))


def _report(chain: Chain, name: str, *, space: str | None, half: Half) -> GateReport:
    return report_of(chain, name, half=half, space=space_for(chain.instance, name, space))


def space_for(instance: Instance, gate: str, space: str | None) -> SpaceName | None:
    """Return the space a gate per production space is asked for; the first of the order unless named."""
    found = instance.workspace.gates.get(gate)
    if found is None or found.guards != "production":
        return None
    production = [one for one in instance.workspace.order if instance.workspace.spaces[one].tier.value == "production"]
    if space is None:
        return production[0] if production else None
    if SpaceName(space) not in production:
        known = ", ".join(production) or "none"
        raise UsageError("SPACE_UNKNOWN", f"{space!r} is no production space.", hint=f"Production spaces: {known}.")
    return SpaceName(space)


def ordered_gates(instance: Instance) -> tuple[str, ...]:
    """Return every gate, each after those it comes after, then by name."""
    gates = instance.workspace.gates
    done: list[str] = []

    def visit(gate: Gate) -> None:
        for before in gate.after:
            if before in gates and before not in done:
                visit(gates[before])
        if gate.name not in done:
            done.append(gate.name)

    for name in sorted(gates, key=lambda one: (len(gates[one].after), one)):
        visit(gates[name])
    return tuple(done)
