"""The kept renderings of the mission's spaces: `python -m tests.targets.golden` writes them anew."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.targets.worlds import CLUSTER, MISSION, SERVER, workspace

from pilotage.adapters.targets.rendering import Form
from pilotage.control.render_space import render_space

KEPT = Path(__file__).parent / "rendered"
PAIRS = (*((name, Form.KUBERNETES) for name in MISSION), (MISSION[-1], Form.HELM))


def rendered(space: str, form: Form) -> dict[str, str]:
    """Return the files of a mission space, with a self-hosted model."""
    return dict(render_space(workspace(cluster=CLUSTER + SERVER), space=space, target=form).files)


def kept(space: str, form: Form) -> dict[str, str]:
    """Return the files as they are kept."""
    folder = KEPT / space / form
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    shutil.rmtree(KEPT, ignore_errors=True)
    for pair in PAIRS:
        for name, text in rendered(*pair).items():
            path = KEPT / pair[0] / pair[1] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
