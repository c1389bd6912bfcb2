"""The gates of a release, decided together: one report per gate in the order of `after`, and what they open.

Rule: each gate is decided once a chain, on one snapshot. Fail mode: a gate whose input cannot be read is `blocked`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_inputs import gate_input, guarded_spaces, is_per_space
from pilotage.control.instance import Instance
from pilotage.control.standard_scope import standing_of
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.gate.decide import decide
from pilotage.gate.emergency import gate_problems, standing, why_not
from pilotage.gate.records import GateInput
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import Half
from pilotage.space.settings import Space, Tier
from pilotage.store.gate_facts import first_traffic, had_traffic
from pilotage.store.incidents import list_incidents
from pilotage.store.releases import find_release
from pilotage.workspace.gate import Gate


def report_of(chain: Chain, name: str, *, half: Half = Half.PRE, space: SpaceName | None = None) -> GateReport:
    """Return the report of a gate, after those it comes after; each is computed once a chain."""
    gate = chain.instance.workspace.gates.get(name)
    if gate is None:
        known = ", ".join(sorted(chain.instance.workspace.gates)) or "none"
        raise NotFound("GATE_UNKNOWN", f"There is no gate {name!r}.", hint=f"Declared in gates/: {known}.")
    key = (_key(name, space if is_per_space(gate) else None), half)
    if key not in chain.reports:
        before = {one: report_of(chain, one, space=space).status for one in gate.after}
        given = gate_input(chain, gate, half, before, space)
        chain.inputs[key] = given
        chain.reports[key] = decide(given, chain.now)
    return chain.reports[key]


def is_reached(chain: Chain, name: str, *, space: SpaceName | None = None) -> bool:
    """Tell whether every gate that this one comes after is approved; nothing behind the first that is not is read."""
    if (name, space) not in chain.reached:
        chain.reached[name, space] = all(
            is_reached(chain, before, space=space) and report_of(chain, before, space=space).status.is_approved
            for before in chain.instance.workspace.gates[name].after
        )
    return chain.reached[name, space]


def input_of(chain: Chain, name: str, *, half: Half = Half.PRE, space: SpaceName | None = None) -> GateInput:
    """Return what a gate was decided from."""
    report_of(chain, name, half=half, space=space)
    gate = chain.instance.workspace.gates[name]
    return chain.inputs[(_key(name, space if is_per_space(gate) else None), half)]


def _key(name: str, space: SpaceName | None) -> str:
    return name if space is None else f"{name}@{space}"


def gates_into(chain: Chain, space: Space) -> tuple[str, ...]:
    """Return the gates that must be approved before a release enters a space; none for a sandbox."""
    if space.tier is Tier.SANDBOX:
        return ()
    names = [
        gate.name
        for gate in chain.instance.workspace.gates.values()
        if gate.guards == space.name
        or (space.tier is Tier.PRODUCTION and gate.guards != "production" and space.name in guarded_spaces(chain, gate))
    ]
    return tuple(dict.fromkeys(names))


def gates_before(chain: Chain, space: Space) -> tuple[str, ...]:
    """Return every gate that a release passes before it enters a space, near and far, in the order of passing."""
    return _with_earlier(chain, gates_into(chain, space))


def gates_on_way(chain: Chain, space: Space) -> frozenset[str]:
    """Return every gate that a release passes until it takes traffic in a space, near and far; none for a sandbox."""
    names = gates_into(chain, space)
    if space.tier is Tier.PRODUCTION:
        names = (*names, *(gate.name for gate in _production(chain)))
    return frozenset(_with_earlier(chain, names))


def chain_problems(
    chain: Chain, space: Space, *, with_go_live: bool = False, with_emergency: bool = True
) -> tuple[Reason, ...]:
    """Return a reason for every gate into the space that is not approved now, and that no emergency change covers."""
    names = gates_into(chain, space)
    if not names and space.tier is not Tier.SANDBOX:
        text = f"No gate guards {space.name}. Declare one in gates/; an unguarded space lets nobody in."
        return (Reason(code="GATE_NOT_MET", text=text, where=space.name),)
    production = [gate.name for gate in _production(chain)]
    after: list[Reason] = []
    if with_go_live and space.tier is Tier.PRODUCTION:
        since = first_traffic(chain.connection, space.name, chain.stored.workflow, chain.stored.digest)
        if since is None:
            names = tuple(dict.fromkeys((*names, *production)))
        else:
            after = [reason for name in production for reason in _post_problems(chain, name, space.name, since)]
    found = [*chain.unrecorded, *_problems(report_of(chain, name, space=space.name) for name in names)]
    standard = standing_of(chain) if found else None
    if standard is not None:
        found = [*standard.against, *found]
    if found and with_emergency:
        found = _in_emergency(chain, space, names, found)
    return (*found, *after)


def has_full_approval(chain: Chain, space: Space) -> bool:
    """Tell whether a release may stay once its emergency is over: every gate into the space is approved by itself.

    Where it had traffic, the emergency let it past go-live too: that authorises it now, or has confirmed it.
    """
    if chain_problems(chain, space, with_emergency=False):
        return False
    if space.tier is not Tier.PRODUCTION:
        return True
    if not had_traffic(chain.connection, space.name, chain.stored.workflow, chain.stored.digest):
        return True
    return all(_is_live(chain, gate, space.name) for gate in _production(chain))


def _is_live(chain: Chain, gate: Gate, space: SpaceName) -> bool:
    halves = (Half.PRE,) if gate.post is None else (Half.PRE, Half.POST)
    return any(report_of(chain, gate.name, half=half, space=space).status.is_approved for half in halves)


def _production(chain: Chain) -> list[Gate]:
    """Return the gates that a release passes in every production space when its traffic begins."""
    return [gate for gate in chain.instance.workspace.gates.values() if gate.guards == "production"]


def _in_emergency(chain: Chain, space: Space, names: Iterable[str], found: list[Reason]) -> list[Reason]:
    """Return what still stands against a release that an emergency lets in; all of `found` where none does."""
    emergency = standing(chain.emergencies, space.name, chain.now)
    if emergency is None:
        return [*found, *why_not(chain.emergencies, space.name, chain.now)]
    critical = critical_incidents(chain, space.name)
    return [
        reason
        for name in _with_earlier(chain, names)
        for reason in gate_problems(
            report_of(chain, name, space=space.name), input_of(chain, name, space=space.name), emergency, critical
        )
    ]


def to_do(chain: Chain, space: Space) -> tuple[Reason, ...]:
    """Return what the gates that come next on the way into a space lack, and who provides it; `where` is GATE/what."""
    found: list[Reason] = []
    for name in _with_earlier(chain, gates_into(chain, space)):
        if is_reached(chain, name, space=space.name):
            report = report_of(chain, name, space=space.name)
            missing = {one.where for one in report.missing}
            unmet = [one for one in report.reasons if one.where not in missing]
            lacks = [] if report.status.is_approved else [*unmet, *report.missing]
            found += [replace(one, text=f"{name}: {one.text}", where=f"{name}/{one.where}") for one in lacks]
    return tuple(found)


def _with_earlier(chain: Chain, names: Iterable[str]) -> tuple[str, ...]:
    """Return gates and all that come before them, in the order in which they are passed."""
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys((*_with_earlier(chain, chain.instance.workspace.gates[name].after), name))
    return tuple(found)


def live_reports(chain: Chain, space: Space) -> tuple[tuple[GateReport, GateInput], ...]:
    """Return the reports, with what they were decided from, of every gate behind a release that serves in a space.

    Where it had traffic, what confirms go-live stands in the chain in the place of what authorised it (gates.md 4.9).
    """
    names = _with_earlier(chain, gates_into(chain, space))
    found = [(report_of(chain, name, space=space.name), input_of(chain, name, space=space.name)) for name in names]
    if space.tier is not Tier.PRODUCTION:
        return tuple(found)
    for gate in _production(chain):
        if gate.post is not None and gate.name not in names:
            half = Half.POST
            report = report_of(chain, gate.name, half=half, space=space.name)
            found.append((report, input_of(chain, gate.name, half=half, space=space.name)))
    return tuple(found)


def critical_incidents(chain: Chain, space: SpaceName) -> tuple[str, ...]:
    """Return the open critical incidents that keep the workflow out of a space; drills are none."""
    listed = list_incidents(chain.connection, only_open=True)
    return tuple(one.id for one in listed if one.stands_against(chain.stored.workflow, space))


def _post_problems(chain: Chain, name: str, space: SpaceName, since: datetime) -> list[Reason]:
    rules = chain.instance.workspace.gates[name].post
    if rules is None:
        return []
    report = report_of(chain, name, half=Half.POST, space=space)
    elapsed = (chain.now - since).total_seconds()
    found: list[Reason] = []
    unmet = [one.id for one in report.criteria if not one.holds]
    if unmet and elapsed > (rules.machine_within_s or 0):
        text = f"After the first traffic in {space} {name} still lacks {', '.join(unmet)}."
        found.append(Reason(code="GATE_NOT_MET", text=text, where=name, observed=f"{elapsed:.0f} s"))
    unsigned = [one.role.value for one in report.signoffs if not one.is_complete]
    if unsigned and elapsed > (rules.confirm_within_s or 0):
        text = f"Nobody confirmed {name} in {space} in time: {', '.join(unsigned)}."
        found.append(Reason(code="POST_UNCONFIRMED", text=text, where=name, observed=f"{elapsed:.0f} s"))
    return found


def _problems(reports: Iterable[GateReport]) -> list[Reason]:
    found: list[Reason] = []
    for report in reports:
        if report.status.is_approved:
            continue
        first = report.reasons[0].text if report.reasons else ""
        first = first or (report.missing[0].text if report.missing else "")
        text = f"Gate {report.gate} is {report.status}. {first}".strip()
        found.append(
            Reason(code="GATE_NOT_MET", text=text, where=report.gate, observed=report.status.value, limit="approved")
        )
    return found


def chain_holds(
    connection: Connection, instance: Instance, *, release: Digest, space: SpaceName, now: datetime
) -> tuple[Reason, ...]:
    """Return a reason for every gate of a space that does not hold for a release; nothing means all hold."""
    stored = find_release(connection, release)
    if stored is None:
        return (Reason(code="RELEASE_UNKNOWN", text=f"There is no release {release}.", where=release),)
    chain = open_chain(connection, instance, stored, now)
    return chain_problems(chain, instance.workspace.spaces[space], with_go_live=True)
