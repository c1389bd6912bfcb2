"""ACLs past their age are told by one code wherever a person asks: `ask`, `corpus search`, the API, `doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.api.client import Client
from typer.testing import CliRunner

from pilotage.adapters.clock import SystemClock
from pilotage.api.app import Api
from pilotage.app import Joined, make_api_services
from pilotage.cli.main import make_app
from pilotage.cli.options import Options
from pilotage.cli.workspace import write_template
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.core.ids import CorpusName, PersonId
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.serving import FakeAuthenticator
from pilotage.workspace.principals import local_principal

pytestmark = pytest.mark.store
QUESTION = "How many business days do we have to refund a duplicate card payment?"
Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(SystemClock().now())


@pytest.fixture
def instance(open_folder: Path, database_url: str, clock: SimulatedClock) -> Iterator[Instance]:
    folder = open_folder / "acl-stale"
    write_template("minimal", folder / "bank")
    with (folder / "bank/corpora/handbook/corpus.yaml").open("a") as file:
        file.write("acl_max_age: 26h\n")
    environ = {"DATABASE_URL": database_url, "PILOTAGE_HOME": str(folder / "home")}
    with open_instance(Opening(start=folder / "bank", environ=environ)) as opened:
        yield replace(opened, clock=clock)


@pytest.fixture
def run(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(Options, "open", lambda _options, _command, **_: nullcontext(instance))

    def run(*words: str, who: str = "ada") -> tuple[int, Any]:
        result = CliRunner().invoke(make_app(Joined()), [*words, "--json", "--as", who])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout)

    return run


def refreshed(instance: Instance) -> str:
    steward = local_principal(instance.workspace, PersonId("ben"))
    done = refresh_corpus(instance, actor=steward, corpus=CorpusName("handbook"), accept=True)
    assert isinstance(done, RefreshResult)
    return done.state


def searched(instance: Instance) -> tuple[int, Any]:
    """Ask the API, as ada."""
    ada = local_principal(instance.workspace, PersonId("ada"))
    keys = FakeAuthenticator(principals={"ada": ada})
    api = Api(make_api_services(instance), keys, instance.clock)
    return Client(api=api, key="ada").get("/api/v1/corpora/handbook/search?question=refund")


def test_stale_acls_have_one_code_everywhere(instance: Instance, clock: SimulatedClock, run: Run) -> None:
    assert refreshed(instance) == "accepted"
    ada = local_principal(instance.workspace, PersonId("ada"))
    assert isinstance(seal_release(instance, actor=ada, workflow="assistant"), Sealed)
    ask = ("ask", "assistant", QUESTION)
    search = ("corpus", "search", "handbook", QUESTION)
    for _ in range(2):
        code, answer = run(*ask)
        assert (code, answer["refused"]) == (0, False)
        assert run(*search)[1]["passages"]
        clock.advance(timedelta(hours=26, seconds=1))
        for words in (ask, search):
            code, told = run(*words)
            assert (code, told["error"]["code"]) == (4, "acl_stale"), told
            assert "was not confirmed in time" in told["error"]["message"]
        status, body = searched(instance)
        assert (status, body["error"]["code"]) == (503, "acl_stale")
        _, report = run("doctor")
        assert [one["where"] for one in report["findings"] if one["code"] == "acl_stale"] == ["handbook"]
        assert refreshed(instance) == "unchanged"
    _, report = run("doctor")
    assert "acl_stale" not in {one["code"] for one in report["findings"]}
    assert set(report["acls_confirmed_at"]) == set(report["acls_stale_after"]) == {"handbook"}
