"""What would keep a rendered space from being used, or apart from others, is told with what to write."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.space.test_mission_blocks import PRODUCTION, STAGING
from tests.targets.worlds import CLUSTER, MISSION, SERVER, workspace
from tests.workspace.conftest import BANK

from pilotage.adapters.targets.rendering import Form
from pilotage.control.render_space import render_space
from pilotage.core.ids import WorkflowName
from pilotage.guard.policy import EgressRule
from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.records import Workspace

DEV_SPACE, STAGING_SPACE, PRODUCTION_SPACE = MISSION
MODEL = f"{PRODUCTION_SPACE}-model.genai.svc"


def told(found: Workspace, space: str = PRODUCTION_SPACE) -> dict[str, str]:
    return {one.code: one.text for one in render_space(found, space=space, target=Form.KUBERNETES).warnings}


def test_a_console_where_nobody_can_sign_in_is_told() -> None:
    text = told(workspace())["SIGN_IN_HOST"]
    assert "Write hosts: [dev-deployment-space.pilotage.bank.example] in spaces/production-us-east-space.yaml" in text
    named = PRODUCTION + "hosts: [dev-deployment-space.pilotage.bank.example]\n"
    assert "SIGN_IN_HOST" not in told(workspace(production=named))
    assert "SIGN_IN_HOST" not in told(workspace(), DEV_SPACE)
    batch = STAGING.replace("deployment_type: online", "deployment_type: batch")
    assert "SIGN_IN_HOST" not in told(workspace(staging=batch), STAGING_SPACE), "nothing is signed in to"


@pytest.mark.parametrize(
    ("host", "is_unused"),
    [(MODEL, False), (f"{MODEL}.cluster.local", False), (f"{MODEL}.example", True), ("models.example", True)],
)
def test_a_model_server_that_no_workflow_asks_is_told(host: str, *, is_unused: bool) -> None:
    found = told(asking(host))
    assert ("MODEL_UNUSED" in found) is is_unused
    if is_unused:
        assert f"Write base_url: https://{MODEL}/v1 in model.yaml" in found["MODEL_UNUSED"]


def test_a_model_in_the_cluster_needs_its_network_allowed() -> None:
    text = told(asking(MODEL))["MODEL_PRIVATE"]
    assert "which desk may not call" in text
    assert "PILOTAGE_PROXY_EXCEPT" in text
    assert "MODEL_PRIVATE" not in told(asking(MODEL, "10.96.0.0/12"))
    assert "MODEL_PRIVATE" not in told(asking("models.example"))


def asking(host: str, *networks: str) -> Workspace:
    """Return a workspace whose one workflow asks the model at a host, with the networks that its egress allows."""
    one = parse_workspace({name: text.encode() for name, text in BANK.items()}).workflows[WorkflowName("desk")]
    rule = EgressRule(host=host, port=443, purpose="models", allow_private=networks)
    desk = replace(
        one,
        model=replace(one.model, base_url=f"https://{host}/v1"),
        retrieval=replace(one.retrieval, embedding=None),
        guard=replace(one.guard, egress=(rule,)),
    )
    return replace(workspace(cluster=CLUSTER + SERVER), workflows={one.name: desk})


def test_ways_out_to_every_address_are_told() -> None:
    assert "EGRESS_EVERYWHERE" not in told(workspace())
    for network in ("0.0.0.0/0", "'::/0'"):
        assert "EGRESS_EVERYWHERE" in told(workspace(cluster=CLUSTER.replace("10.20.4.0/24", network)))


def test_production_beside_development_and_jurisdictions_that_share_are_told() -> None:
    assert "that of dev-deployment-space: production" in told(workspace())["TIER_SHARED"]
    assert "TIER_SHARED" not in told(workspace(), STAGING_SPACE)
    abroad = STAGING + "region: eu-central-1\n"
    assert (
        "that of production-us-east-space, in" in told(workspace(staging=abroad), STAGING_SPACE)["JURISDICTION_SHARED"]
    )
    assert "JURISDICTION_SHARED" not in told(workspace())
    apart = CLUSTER + "  zones: {us: {secret: us-env, claim: us-keys}, eu: {secret: eu-env, claim: eu-keys}}\n"
    assert not {"JURISDICTION_SHARED", "TIER_SHARED"} & told(workspace(staging=abroad, cluster=apart)).keys()
    half = apart.replace(", claim: us-keys", "").replace(", claim: eu-keys", "")
    assert "JURISDICTION_SHARED" in told(workspace(staging=abroad, cluster=half)), "the claim is still shared"
