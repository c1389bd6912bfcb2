"""No secret stands in clear in rendered files, and each expected in a file has a key and a place of its own."""

from __future__ import annotations

import pytest
from tests.space.test_mission_blocks import PRODUCTION
from tests.targets.worlds import CLUSTER, MISSION, ORGANISATION, SERVER, workspace

from pilotage.adapters.targets.rendering import Form
from pilotage.adapters.targets.secret_files import secret_files
from pilotage.control.render_space import Rendered, render_space
from pilotage.core.errors import UsageError

PRODUCTION_SPACE = MISSION[-1]


def rendered(*, cluster: str = CLUSTER + SERVER, organisation: str = ORGANISATION, **more: str) -> Rendered:
    return render_space(
        workspace(organisation, cluster=cluster, **more), space=PRODUCTION_SPACE, target=Form.KUBERNETES
    )


@pytest.mark.parametrize(
    ("args", "place"),
    [
        ("--api-key=hunter2", "(--api-key)"),
        ("--api-key, hunter2", "(--api-key)"),
        ("--hf_token=abc", "(--hf_token)"),
        ("-password, abc", "(--password)"),
        ("--client-secret=abc", "(--client-secret)"),
        ("'--download=https://bank:pa55@models.example/x'", "(--download)"),
        ("run, 'api_key=Zx9fQ2LmPq77sTUv'", "(number 2)"),
    ],
)
def test_a_secret_in_the_arguments_of_a_model_server_is_refused_and_not_repeated(args: str, place: str) -> None:
    server = SERVER.replace("args: [", f"args: [{args}, ")
    with pytest.raises(UsageError, match=r"model_server\.args") as refused:
        rendered(cluster=CLUSTER + server)
    assert refused.value.code == "SECRET_IN_CLEAR"
    assert place in refused.value.message
    assert not any(word in str(refused.value) for word in ("hunter2", "pa55", "Zx9f"))


@pytest.mark.parametrize("args", ["--api-key=/tls/api.key", "--api-key", "--max-tokens=100, --tokenizer=/models/bank"])
def test_a_path_or_an_option_of_another_kind_is_no_secret(args: str) -> None:
    assert rendered(cluster=CLUSTER + SERVER.replace("args: [", f"args: [{args}, ")).files


@pytest.mark.parametrize(
    ("note", "is_refused"),
    [
        ('bank.example/api-token: "abc"', True),
        ('nginx.ingress.kubernetes.io/configuration-snippet: "more_set_headers Bearer abcdefghijklmnop;"', True),
        ('nginx.ingress.kubernetes.io/auth-secret: "basic-auth"', False),
    ],
)
def test_a_secret_in_an_annotation_is_refused_and_the_name_of_one_is_not(note: str, *, is_refused: bool) -> None:
    cluster = CLUSTER.replace("    annotations:\n", f"    annotations:\n      {note}\n")
    if not is_refused:
        assert rendered(cluster=cluster).files
        return
    with pytest.raises(UsageError, match=r"ingress\.annotations"):
        rendered(cluster=cluster)


@pytest.mark.parametrize(
    "paths",
    [
        ["/run/a/b", "/run/a.b"],
        ["/run/a", "run/a"],
        ["/run/with space"],
        ["/run/../etc/passwd"],
        ["..data"],
        ["/run/a:b"],
        ["/run//a"],
        ["/run/" + "a" * 250],
        ["/run/a", "/run/a/b"],
        ["/tmp"],
        ["/var/lib"],
        ["/workspace"],
    ],
)
def test_paths_without_a_key_or_place_of_their_own_are_refused(paths: list[str]) -> None:
    with pytest.raises(UsageError, match="file:") as refused:
        secret_files([f"file:{path}" for path in paths])
    assert (refused.value.code, bool(refused.value.hint)) == ("SECRET_PATH", True)


def test_each_path_has_a_key_and_a_workspace_with_an_odd_one_is_not_rendered() -> None:
    assert secret_files(["env:A", "file:/run/secrets/email", "file:keys/mail.txt", "file:/tmp/one"]) == {
        "run.secrets.email": "/run/secrets/email",
        "keys.mail.txt": "/workspace/keys/mail.txt",
        "tmp.one": "/tmp/one",
    }
    with pytest.raises(UsageError, match="has no key for"):
        rendered(organisation=ORGANISATION.replace("file:/run/secrets/email", "file:/run/my secrets/email"))


@pytest.mark.parametrize(("level", "is_told"), [("DEBUG", True), ("ERROR", True), ("WARNING", False), ("INFO", False)])
def test_a_log_level_that_processes_do_not_follow_is_told(level: str, *, is_told: bool) -> None:
    found = rendered(production=PRODUCTION.replace("log_level: INFO", f"log_level: {level}"))
    assert ("LOG_LEVEL_RECORDED" in {one.code for one in found.warnings}) is is_told
