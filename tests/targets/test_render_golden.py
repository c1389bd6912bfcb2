"""The three mission space files render to stable manifests that fit Kubernetes' own schemas (operations.md 14.20)."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.targets.applied import Applied
from tests.targets.golden import PAIRS, kept, rendered
from tests.targets.worlds import CLUSTER, MISSION, ORGANISATION, SERVER, files, workspace

from pilotage.adapters.targets.rendering import Form
from pilotage.control.render_space import render_space
from pilotage.workspace.parse import parse_workspace

OF_OPERATORS = {"ScaledObject", "ServiceMonitor"}
FORMS = [(space, form) for space in MISSION for form in Form]


@pytest.mark.feature("D9.6")
@pytest.mark.parametrize(("space", "form"), PAIRS)
def test_a_mission_space_renders_to_the_kept_bytes(space: str, form: Form) -> None:
    found = rendered(space, form)
    assert sorted(found) == sorted(kept(space, form))
    for name, text in kept(space, form).items():
        assert found[name] == text, f"{name}: run `python -m tests.targets.golden` and look at what changed"


@pytest.mark.parametrize(("space", "form"), FORMS)
def test_the_order_in_which_files_are_found_changes_no_byte(space: str, form: Form) -> None:
    declared = files(ORGANISATION + CLUSTER)
    turned = parse_workspace(dict(reversed(declared.items())))
    one = render_space(parse_workspace(declared), space=space, target=form)
    assert render_space(turned, space=space, target=form).files == one.files


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("space", MISSION)
@pytest.mark.parametrize("cluster", [CLUSTER, CLUSTER + SERVER], ids=["no model", "own model"])
def test_every_manifest_fits_kubernetes_own_schema(space: str, cluster: str, version: str) -> None:
    found = render_space(workspace(cluster=cluster), space=space, target=Form.KUBERNETES)
    for document in Applied.of(found.files).documents:
        if document["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("space", MISSION)
def test_a_chart_with_its_own_values_makes_what_kubectl_applies(space: str) -> None:
    world = workspace(cluster=CLUSTER + SERVER)
    chart = render_space(world, space=space, target=Form.HELM).files
    plain = render_space(world, space=space, target=Form.KUBERNETES).files
    assert list(map(_named, Applied.of_chart(chart).documents)) == list(map(_named, Applied.of(plain).documents))
    assert yaml.safe_load(chart["Chart.yaml"])["name"] == space


def _named(document: dict[str, Any]) -> object:
    """Return a document without what Helm says itself: its namespace, a Job's name, settings that are empty."""
    document["metadata"].pop("namespace", None)
    if document["kind"] == "Job":
        document["metadata"]["name"] = "computed"
    return _full(document)


def _full(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: child for key, child in value.items() if key != "nodeSelector" or child}
        return {key: _full(child) for key, child in kept.items()}
    return [_full(child) for child in value] if isinstance(value, list) else value
