"""`pilotage login`: who is proven at the command line in OIDC mode, and where that is kept."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.console.conftest import Bank, bank

from pilotage.adapters.identity_providers.open_oidc import provider_sign_in
from pilotage.adapters.identity_providers.sign_in import ProviderSignIn
from pilotage.cli.login import provider_of
from pilotage.cli.options import Options
from pilotage.cli.session_file import SessionFile
from pilotage.control.accept_risk import RiskText, accept_risk
from pilotage.control.console_session import SignedIn, close_session, open_proven
from pilotage.control.instance import Instance
from pilotage.core.errors import NotPermitted, UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.refused import CredentialRefused
from pilotage.identity.sign_in import Proven
from pilotage.testing.identity_provider import SECRET, TestProvider
from pilotage.workspace.people import IdentityMode, IdentitySettings

__all__ = ["bank"]

pytestmark = pytest.mark.store


@dataclass
class Desk:
    """A command line in a workspace with a provider."""

    bank: Bank
    instance: Instance
    provider: TestProvider
    waits: list[float]

    @property
    def sign_in(self) -> ProviderSignIn:
        found = provider_sign_in(self.instance.workspace, self.bank.clock, self.instance.root)
        assert found is not None
        return found

    def prove(self) -> Proven | CredentialRefused:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)
            if len(self.waits) == 3:
                self.provider.has_approved = True

        async def run() -> Proven | CredentialRefused:
            sign_in = self.sign_in
            return await sign_in.await_device(await sign_in.device_code(), sleep=sleep)

        return asyncio.run(run())

    def log_in(self) -> SignedIn:
        proven = self.prove()
        assert isinstance(proven, Proven)
        return open_proven(self.instance, proven)


@pytest.fixture
def desk(bank: Bank, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    monkeypatch.setenv("TEST_OIDC_SECRET", SECRET)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with TestProvider(clock=bank.clock) as provider:
        identity = IdentitySettings(mode=IdentityMode.OIDC, oidc=provider.settings(device_client_id="pilotage-cli"))
        workspace = replace(bank.instance.workspace, identity=identity)
        yield Desk(bank=bank, instance=replace(bank.instance, workspace=workspace), provider=provider, waits=[])


def _keep(desk: Desk, token: str) -> SessionFile:
    file = SessionFile.of(desk.instance.workspace.id, os.environ)
    file.write(token)
    return file


def test_a_person_confirms_the_code_in_any_browser_and_is_proven(desk: Desk) -> None:
    desk.provider.has_approved = False
    signed_in = desk.log_in()
    assert desk.waits == [5.0, 5.0, 5.0]
    assert {one["client_id"] for one in desk.provider.tokens} == {"pilotage-cli"}
    file = _keep(desk, signed_in.token)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert Options().actor(desk.instance).id == f"{desk.provider.issuer}|maria"
    assert Options().login(desk.instance) == signed_in.login


@pytest.mark.parametrize("wrong", [{"aud": "pilotage-console"}, {"iss": "https://evil.example"}, {"exp": 1}], ids=str)
def test_a_token_for_somebody_else_proves_nobody(desk: Desk, wrong: dict[str, object]) -> None:
    desk.provider.wrong = wrong
    assert isinstance(desk.prove(), CredentialRefused)


def test_naming_a_person_is_no_proof(desk: Desk) -> None:
    _keep(desk, desk.log_in().token)
    with pytest.raises(NotPermitted, match="--as is not proof"):
        Options(person="maria.chen").actor(desk.instance)


def test_nobody_is_signed_in_without_a_live_session_of_this_user_alone(desk: Desk) -> None:
    with pytest.raises(NotPermitted, match="pilotage login"):
        Options().actor(desk.instance)
    signed_in = desk.log_in()
    file = _keep(desk, signed_in.token)
    file.path.chmod(0o640)
    with pytest.raises(NotPermitted, match="pilotage login"):
        Options().actor(desk.instance)
    file.path.chmod(0o600)
    assert Options().actor(desk.instance).via == "oidc"
    close_session(desk.instance, signed_in.token)
    with pytest.raises(NotPermitted, match="pilotage login"):
        Options().actor(desk.instance)


def test_a_session_at_the_command_line_ends_after_half_an_hour_without_use(desk: Desk) -> None:
    _keep(desk, desk.log_in().token)
    desk.bank.clock.advance(timedelta(minutes=31))
    with pytest.raises(NotPermitted, match="pilotage login"):
        Options().actor(desk.instance)


def test_a_risk_is_accepted_with_a_login_of_the_last_quarter_of_an_hour_only(desk: Desk) -> None:
    _keep(desk, desk.log_in().token)
    desk.bank.clock.advance(timedelta(minutes=16))
    text = RiskText(data=b"risk: R-1\n", login=Options().login(desk.instance))
    done = accept_risk(
        desk.instance, actor=Options().actor(desk.instance), release=desk.bank.release, gate="cab", text=text
    )
    assert isinstance(done, Refusal)
    assert [one.code for one in done.reasons] == ["LOGIN_OLD"]


def test_local_people_have_no_login(bank: Bank) -> None:
    assert Options(person="maria.chen").login(bank.instance) is None
    with pytest.raises(UsageError, match="--as PERSON"):
        provider_of(bank.instance)


def test_no_token_of_the_provider_is_stored(desk: Desk) -> None:
    signed_in = desk.log_in()
    with desk.instance.engine.connect() as connection:
        stored = json.dumps(
            [[str(value) for value in row] for row in connection.exec_driver_sql("SELECT * FROM console_session")]
        )
    assert signed_in.token not in stored
    assert "eyJ" not in stored
