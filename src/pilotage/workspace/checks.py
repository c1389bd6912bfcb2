"""Checks across files: every name exists, stages and residency fit, gates form an order. Warnings beside them.

A table of reference kinds decides existence (the parsers recorded each reference with its place); the rest are small
functions over the whole. Fail mode: a problem at the place where the name was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pilotage.core.located import Located, Problems, Reference, did_you_mean
from pilotage.corpus.settings import DataStage
from pilotage.identity.roles import Role
from pilotage.space.failover import partner_reason
from pilotage.space.residency import is_eu
from pilotage.space.settings import Space, Tier
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace
from pilotage.workspace.warn import warn_workspace

_STEPS = ("review", "cab", "production")
"""What a gate may guard beside a space (gates.md 3)."""


def check_workspace(workspace: Workspace, top: Located, problems: Problems) -> None:
    """Add every cross-file problem and warning; `top` is `pilotage.yaml`."""
    check_references(workspace, problems)
    _check_reporting(workspace, top, problems)
    _check_gate_order(workspace, problems)
    warn_workspace(workspace, top, problems)


def check_references(workspace: Workspace, problems: Problems) -> None:
    """Add a problem for every name that was written and does not exist."""
    known = _known(workspace)
    for reference in problems.references:
        if reference.kind in known:
            _check_name(reference, known[reference.kind], problems)
        elif reference.kind in _SPECIAL:
            _SPECIAL[reference.kind](reference, workspace, problems)


def _known(workspace: Workspace) -> Mapping[str, tuple[str, list[str]]]:
    """Return, by kind of reference: how to call it, and the names that exist. A kind not listed is not checked."""
    channels, exporters = _names(workspace.channels), _names(workspace.exporters)
    spaces = _names(workspace.spaces)
    known: dict[str, tuple[str, list[str]]] = {
        "person": ("a person of pilotage.yaml", _names(workspace.people)),
        "corpus": ("a corpus", _names(workspace.corpora)),
        "space": ("a space", spaces),
        "workflow": ("a workflow", _names(workspace.workflows)),
        "gate": ("a gate", sorted(workspace.gates)),
        "band gate": ("a gate", sorted(workspace.gates)),
        "guarded place": ("a space or step", [*spaces, *_STEPS]),
        "exporter": ("an exporter of pilotage.yaml", exporters),
        "channel": ("a notification channel of pilotage.yaml", channels),
        "exporter_or_channel": ("an exporter or channel of pilotage.yaml", sorted({*exporters, *channels})),
        "rota": ("a rota of oncall.yaml", sorted(workspace.operations.rotas)),
        "cost phase": ("a phase of costs.yaml", sorted({line.phase for line in workspace.operations.costs.lines})),
        "role": ("a role", sorted(role.value for role in Role)),
    }
    if workspace.identity.mode is IdentityMode.LOCAL or workspace.groups:
        groups = sorted(workspace.groups)
        known |= {"group": ("a group", groups), "acl group": ("a group", groups)}
    return known


def _names(declared: Iterable[str]) -> list[str]:
    return sorted(str(name) for name in declared)


def _check_name(reference: Reference, known: tuple[str, list[str]], problems: Problems) -> None:
    called, names = known
    if reference.name not in names:
        hint = did_you_mean(reference.name, names, instead="Write one of")
        problems.add(reference.at, f"{reference.name[:80]!r} is not {called}", hint)


def _check_acl_user(reference: Reference, workspace: Workspace, problems: Problems) -> None:
    """Accept a declared person, or a stable id (`iss|sub`) of an identity provider."""
    if "|" not in reference.name:
        _check_name(reference, ("a person of pilotage.yaml", _names(workspace.people)), problems)


def _check_asker(reference: Reference, workspace: Workspace, problems: Problems) -> None:
    """Accept a persona of the workflow that the file belongs to, or, in local mode, a person."""
    owner = reference.at.file.split("/")[1]
    workflow = next((one for name, one in workspace.workflows.items() if name == owner), None)
    if workflow is None:
        return
    names = sorted(workflow.evaluation.personas)
    if workspace.identity.mode is IdentityMode.LOCAL:
        names += _names(workspace.people)
    _check_name(reference, ("a persona of evaluation.yaml or a person", names), problems)


def _check_stage(stage: DataStage) -> Callable[[Reference, Workspace, Problems], None]:
    def check(reference: Reference, workspace: Workspace, problems: Problems) -> None:
        corpus = next((one for name, one in workspace.corpora.items() if name == reference.name), None)
        if corpus is not None and corpus.data_stage is not stage:
            what = f"The corpus {reference.name!r} holds {corpus.data_stage} data and is named for {stage}"
            problems.add(reference.at, what, f"Name a corpus with data_stage: {stage}.")

    return check


def _check_kpi(reference: Reference, workspace: Workspace, problems: Problems) -> None:
    """Refuse a bare KPI (`workflow:kpi`) that its workflow does not declare."""
    owner, _, name = reference.name.partition(":")
    workflow = next((one for known, one in workspace.workflows.items() if known == owner), None)
    if workflow is not None:
        known = ("a KPI of the workflow " + repr(owner), sorted(kpi.id for kpi in workflow.kpis))
        _check_name(Reference(kind=reference.kind, name=name, at=reference.at), known, problems)


def _space_of(reference: Reference, workspace: Workspace) -> Space | None:
    return next((space for name, space in workspace.spaces.items() if name == reference.name), None)


def _check_partner(reference: Reference, workspace: Workspace, problems: Problems) -> None:
    """Refuse a partner that may not take the askers of the space whose file names it."""
    partner = _space_of(reference, workspace)
    owner = reference.at.file.removeprefix("spaces/").removesuffix(".yaml")
    space = next((one for name, one in workspace.spaces.items() if name == owner), None)
    if partner is None:
        _check_name(reference, ("a space", _names(workspace.spaces)), problems)
    elif space is not None and (reason := partner_reason(space, partner)) is not None:
        what, _, hint = reason.text.partition(". ")
        problems.add(reference.at, what, hint)


def _check_isolation(reference: Reference, workspace: Workspace, problems: Problems) -> None:
    space = _space_of(reference, workspace)
    if space is not None and is_eu(space):
        problems.add(reference.at, f"The EU space {space.name!r} is not isolated", "Write isolated: true in its wave.")


def _check_auto_step(reference: Reference, workspace: Workspace, problems: Problems) -> None:
    space = _space_of(reference, workspace)
    if space is not None and space.tier is Tier.PRODUCTION:
        what = f"A step before the last in {space.name!r} decides by itself"
        problems.add(reference.at, what, "In production only a wave's last step may say decide: auto; name roles.")


_SPECIAL: Mapping[str, Callable[[Reference, Workspace, Problems], None]] = {
    "acl user": _check_acl_user,
    "asker": _check_asker,
    "production corpus": _check_stage(DataStage.PRODUCTION),
    "uat corpus": _check_stage(DataStage.UAT),
    "isolation": _check_isolation,
    "workflow kpi": _check_kpi,
    "partner": _check_partner,
    "auto step": _check_auto_step,
}


def _check_reporting(workspace: Workspace, top: Located, problems: Problems) -> None:
    for person in workspace.people.values():
        chain, manager = [person.id], person.reports_to
        while manager is not None and manager in workspace.people and manager not in chain:
            chain.append(manager)
            manager = workspace.people[manager].reports_to
        if manager == person.id and person.id == min(chain):
            what = f"Reporting lines run in a circle: {' > '.join((*chain, person.id))}"
            problems.add(top, what, "Correct one reports_to.")


def _check_gate_order(workspace: Workspace, problems: Problems) -> None:
    """Report an `after` cycle at a place that names its first gate; other cycles through that gate show afterwards."""
    for name in sorted(workspace.gates):
        cycle = _cycle_from(name, workspace)
        if cycle and name == min(cycle):
            at = next(one.at for one in problems.references if (one.kind, one.name) == ("gate", name))
            what = f"The gates wait for each other: {' after '.join((*cycle, name))}"
            problems.add(at, what, "Remove one `after`.")


def _cycle_from(start: str, workspace: Workspace) -> tuple[str, ...]:
    """Return the gates of a cycle through `start`, or nothing."""
    trail: list[tuple[str, tuple[str, ...]]] = [(start, (start,))]
    seen: set[str] = set()
    while trail:
        name, path = trail.pop()
        for before in workspace.gates[name].after if name in workspace.gates else ():
            if before == start:
                return path
            if before not in seen:
                seen.add(before)
                trail.append((before, (*path, before)))
    return ()
