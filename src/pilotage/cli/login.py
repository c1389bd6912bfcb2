"""`pilotage login | logout`: sign in at the command line with the identity provider, by device code (RFC 8628).

The person opens the provider's page in any browser and types a code; nothing listens here, so it works over SSH too.
The session is the console's: 30 minutes without use, 10 hours at the latest.
"""

from __future__ import annotations

import asyncio
import os

import typer

from pilotage.adapters.identity_providers.open_oidc import provider_sign_in
from pilotage.adapters.identity_providers.sign_in import ProviderSignIn
from pilotage.cli.options import Options, command
from pilotage.cli.session_file import SessionFile
from pilotage.control.console_session import close_session, open_proven
from pilotage.control.instance import Instance
from pilotage.core.clock import to_text
from pilotage.core.errors import NotPermitted, UsageError
from pilotage.identity.refused import CredentialRefused
from pilotage.identity.sign_in import Proven


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("login")(command(login))
    app.command("logout")(command(logout))


def login(options: Options) -> None:
    """Sign in with the identity provider; in local identity mode nobody needs to."""
    with options.open("pilotage login") as instance:
        provider = provider_of(instance)
        proven = asyncio.run(_prove(options, provider))
        if isinstance(proven, CredentialRefused):
            raise NotPermitted(proven.code.value, proven.text)
        file = SessionFile.of(instance.workspace.id, os.environ)
        before = file.read()
        if before is not None:
            close_session(instance, before)
        signed_in = open_proven(instance, proven)
        file.write(signed_in.token)
    person, roles = signed_in.principal, sorted(role.value for role in signed_in.principal.roles)
    at = signed_in.authenticated_at
    record = {"account": person.id, "person": person.person, "roles": roles, "at": None if at is None else to_text(at)}
    options.show(record, lambda out: out.print(f"Signed in as {person.label} ({', '.join(roles) or 'no role'})."))


def logout(options: Options) -> None:
    """End the session that `pilotage login` began."""
    with options.open("pilotage logout") as instance:
        file = SessionFile.of(instance.workspace.id, os.environ)
        token = file.read()
        if token is not None:
            close_session(instance, token)
        file.remove()
    options.show({"signed_out": token is not None}, lambda out: out.print("Signed out."))


def provider_of(instance: Instance) -> ProviderSignIn:
    """Return the workspace's provider; raise UsageError when people do not sign in with one."""
    provider = provider_sign_in(instance.workspace, instance.clock, instance.root)
    if provider is None:
        message = "This workspace declares no identity.oidc.sign_in."
        hint = "In local identity mode write --as PERSON; else declare client_id and public_url there."
        raise UsageError("LOGIN_LOCAL", message, hint=hint)
    return provider


async def _prove(options: Options, provider: ProviderSignIn) -> Proven | CredentialRefused:
    try:
        device = await provider.device_code()
        options.err.print(f"Open {device.whole_page or device.page} in a browser and confirm the code", end=" ")
        options.err.print(f"[bold]{device.user_code}[/bold]", end=".\n")
        return await provider.await_device(device)
    finally:
        await provider.close()
