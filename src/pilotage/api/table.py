"""Every operation of the control plane, in the order of its document."""

from __future__ import annotations

from typing import Final

from pilotage.api.operation import Operation
from pilotage.api.operations import (
    answers,
    cab,
    channels,
    corpora,
    drills,
    evaluations,
    gate_changes,
    gate_requests,
    gates,
    golden,
    inbox,
    incidents,
    keys,
    ledger,
    mitigations,
    portfolio,
    prices,
    profile,
    releases,
    reports,
    rollouts,
    spaces,
    standards,
    takedowns,
)

OPERATIONS: Final[tuple[Operation, ...]] = (
    *inbox.OPERATIONS,
    *profile.OPERATIONS,
    *corpora.OPERATIONS,
    *takedowns.OPERATIONS,
    *releases.OPERATIONS,
    *prices.OPERATIONS,
    *gates.OPERATIONS,
    *gate_requests.OPERATIONS,
    *gate_changes.OPERATIONS,
    *standards.OPERATIONS,
    *cab.OPERATIONS,
    *reports.OPERATIONS,
    *evaluations.OPERATIONS,
    *mitigations.OPERATIONS,
    *golden.OPERATIONS,
    *rollouts.OPERATIONS,
    *portfolio.OPERATIONS,
    *incidents.OPERATIONS,
    *channels.OPERATIONS,
    *drills.OPERATIONS,
    *spaces.OPERATIONS,
    *answers.OPERATIONS,
    *ledger.OPERATIONS,
    *keys.OPERATIONS,
)
