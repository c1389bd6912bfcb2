"""What changes from one space into the next is listed setting by setting, with both values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pilotage.adapters.workspace_files import read_workspace_files
from pilotage.core.ids import SpaceName
from pilotage.space.digest import changes_between, differences
from pilotage.workspace.parse import parse_workspace

BANK = parse_workspace(read_workspace_files(Path(__file__).resolve().parents[2] / "examples" / "northlake-bank"))
DEV, QA = (BANK.spaces[SpaceName(name)] for name in ("dev-deployment-space", "qa-deployment-space"))


def test_every_setting_that_differs_is_listed_with_both_values() -> None:
    raised = replace(DEV, name=QA.name, tier=QA.tier, soak_s=DEV.soak_s + 60)
    (one,) = changes_between(DEV, raised)
    assert one.as_json() == {"key": "soak_s", "before": DEV.soak_s, "after": DEV.soak_s + 60}
    assert changes_between(DEV, DEV) == ()
    found = changes_between(DEV, QA)
    assert [one.key for one in found] == sorted(one.key for one in found)
    assert set(differences(DEV, QA)) <= {one.key for one in found}
    back = {one.key: (one.after, one.before) for one in changes_between(QA, DEV)}
    assert back == {one.key: (one.before, one.after) for one in found}
