"""`pilotage space render`: shown, written, compared; nobody else's file is touched, and what is missing is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.targets.worlds import CLUSTER, GPUS, MISSION, ORGANISATION, write
from typer.testing import CliRunner, Result

from pilotage.app import Joined
from pilotage.cli.main import make_app

SPACE = MISSION[1]


def run(folder: Path, *arguments: str) -> Result:
    # Whoever runs the tests may have set COLUMNS; messages are read here as whole lines.
    command = ["space", "render", *arguments, "--workspace", str(folder)]
    return CliRunner(env={"COLUMNS": "10000"}).invoke(make_app(Joined()), command)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bank")


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_without_a_folder_the_files_are_shown_and_nothing_is_written(folder: Path) -> None:
    before = names(folder)
    done = run(folder, SPACE, "--target", "kubernetes")
    assert done.exit_code == 0, done.output
    assert "# ---- serve-deployment.yaml" in done.stdout
    assert "memory: 16G" in done.stdout
    assert names(folder) == before
    record = json.loads(run(folder, SPACE, "--target", "helm", "--json").stdout)
    assert (record["space"], record["target"]) == (SPACE, "helm")
    assert {"Chart.yaml", "values.yaml", "values.schema.json"} < set(record["files"])
    assert {one["code"] for one in record["warnings"]} == {"TARGET_CPU_ASSUMED", "GPU_RECORDED", "SIGN_IN_HOST"}


@pytest.mark.feature("D9.6")
def test_what_would_change_in_a_folder_is_shown_before_it_is_written(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(folder, SPACE, "--target", "kubernetes", "--out", str(out)).exit_code == 0
    assert run(folder, SPACE, "--target", "kubernetes", "--out", str(out), "--diff").exit_code == 0
    space = folder / "spaces" / f"{SPACE}.yaml"
    space.write_text(space.read_text().replace("max_instances: 5", "max_instances: 7"))
    written = {name: (out / name).read_bytes() for name in names(out)}
    shown = run(folder, SPACE, "--target", "kubernetes", "--out", str(out), "--diff")
    assert shown.exit_code == 1, "CI can ask whether a folder is up to date"
    assert "-  maxReplicas: 5\n+  maxReplicas: 7\n" in shown.stdout
    assert {name: (out / name).read_bytes() for name in names(out)} == written
    record = json.loads(run(folder, SPACE, "--target", "kubernetes", "--out", str(out), "--json").stdout)
    assert record["written"] is True
    assert "+  maxReplicas: 7" in record["changes"]
    assert "maxReplicas: 7" in (out / "serve-autoscaler.yaml").read_text()


def test_a_manifest_that_is_no_more_is_removed_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, SPACE, "--target", "kubernetes", "--out", str(out))
    (out / "notes.yaml").write_text("ours: true\n")
    space = folder / "spaces" / f"{SPACE}.yaml"
    space.write_text(space.read_text().replace("max_instances: 5", "max_instances: 2"))
    done = run(folder, SPACE, "--target", "kubernetes", "--out", str(out))
    assert "--- before/serve-autoscaler.yaml\n+++ /dev/null\n" in done.stdout
    assert "serve-autoscaler.yaml" not in names(out)
    assert (out / "notes.yaml").read_text() == "ours: true\n"


def test_somebody_elses_file_is_left_alone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "kustomization.yaml").write_text("resources: []\n")
    done = run(folder, SPACE, "--target", "kubernetes", "--out", str(out))
    assert done.exit_code == 2
    assert "holds kustomization.yaml, which this command did not write" in done.stderr
    assert names(out) == {"kustomization.yaml"}
    done = run(folder, SPACE, "--target", "kubernetes", "--out", str(out / "kustomization.yaml"))
    assert (done.exit_code, "is not a folder" in done.stderr) == (2, True)


@pytest.mark.parametrize("target", ["kubernetes", "helm"])
def test_what_another_space_has_in_a_folder_or_below_it_stays(folder: Path, tmp_path: Path, target: str) -> None:
    out = tmp_path / "deploy"
    for space in MISSION[:2]:
        assert run(folder, space, "--target", target, "--out", str(out / space)).exit_code == 0
    below = {name: (out / name).read_bytes() for name in names(out)}
    assert run(folder, MISSION[2], "--target", target, "--out", str(out)).exit_code == 0
    assert below.items() < {name: (out / name).read_bytes() for name in names(out)}.items()
    refused = run(folder, MISSION[2], "--target", target, "--out", str(out / MISSION[1]))
    assert refused.exit_code == 2
    assert f"rendered for another space than {MISSION[2]}" in refused.stderr
    assert below.items() < {name: (out / name).read_bytes() for name in names(out)}.items()


def test_every_file_of_a_chart_says_whose_it_is_and_another_form_leaves_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(folder, SPACE, "--target", "helm", "--out", str(out))
    chart = {name: (out / name).read_bytes() for name in names(out)}
    assert all(f"from spaces/{SPACE}.yaml".encode() in data for data in chart.values())
    run(folder, SPACE, "--target", "kubernetes", "--out", str(out))
    assert chart.items() < {name: (out / name).read_bytes() for name in names(out)}.items()


@pytest.mark.parametrize(
    ("root", "arguments", "said"),
    [
        (ORGANISATION + CLUSTER + GPUS, ("nowhere", "--target", "helm"), "There is no space 'nowhere'."),
        (ORGANISATION + CLUSTER + GPUS, (SPACE, "--target", "helm", "--diff"), "Write --out DIR --diff."),
        (ORGANISATION + CLUSTER + GPUS, (SPACE, "--target", "nomad"), "'nomad' is not one of"),
        (ORGANISATION + CLUSTER + GPUS, (SPACE,), "Missing option '--target'"),
        (ORGANISATION, (SPACE, "--target", "helm"), "Write kubernetes: {image: registry/pilotage@sha256:..."),
        (
            ORGANISATION + CLUSTER.replace("@sha256:" + "3f" * 32, ":latest"),
            (SPACE, "--target", "helm"),
            "Write an image by its digest: registry.bank.example/pilotage@sha256:<64 hex digits>",
        ),
        (
            ORGANISATION + "\n".join(line for line in CLUSTER.splitlines() if "image:" not in line),
            (SPACE, "--target", "helm"),
            "'kubernetes.image' is missing. Write `image: ...`.",
        ),
    ],
)
def test_what_is_missing_is_said_with_what_to_write(
    tmp_path: Path, root: str, arguments: tuple[str, ...], said: str
) -> None:
    done = run(write(tmp_path / "bank", root), *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr.replace("\n", " ")
