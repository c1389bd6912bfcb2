"""Who runs a space, or audits it, reads its manifests over HTTP; nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
from tests.targets.worlds import workspace

from pilotage.adapters.targets.rendering import Form
from pilotage.api.operation import Call, Result, Services
from pilotage.api.operations.spaces import OPERATIONS, RenderingSpace
from pilotage.core.ids import PrincipalId
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Role
from pilotage.workspace.records import Workspace

(RENDER,) = [one for one in OPERATIONS if one.command == "space render"]


@dataclass(frozen=True)
class Opened:
    """As much of an instance as the operation reads."""

    workspace: Workspace


@dataclass(frozen=True)
class Joined:
    instance: Opened


def asked(role: Role, *, space: str = "dev-deployment-space", target: Form = Form.KUBERNETES) -> Result:
    actor = Principal(
        id=PrincipalId("local|somebody"),
        kind=PrincipalKind.PERSON,
        roles=frozenset({role}),
        label="Somebody",
        via="local",
    )
    services = cast(Services, Joined(Opened(workspace())))
    call = Call(services=services, actor=actor, params={"space": space}, fields=RenderingSpace(target=target))
    return RENDER.run(call)


@pytest.mark.parametrize("role", list(Role))
def test_manifests_are_for_who_runs_a_space_or_audits_it(role: Role) -> None:
    result = asked(role)
    if role in {Role.DEVOPS_LEAD, Role.PLATFORM_ENGINEER, Role.AUDITOR}:
        assert isinstance(result, dict)
        assert "serve-deployment.yaml" in result["files"]
    else:
        assert isinstance(result, Refusal)
        assert result.reasons[0].code == "NOT_PERMITTED"


def test_a_chart_is_shown_as_well() -> None:
    result = asked(Role.PLATFORM_ENGINEER, target=Form.HELM)
    assert isinstance(result, dict)
    assert (result["target"], "Chart.yaml" in result["files"]) == ("helm", True)
