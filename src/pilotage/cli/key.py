"""`pilotage key create | list | rotate | revoke`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pilotage.cli.options import Options, command
from pilotage.cli.shown import Listing, minute
from pilotage.control.create_key import KeyRequest, create_key
from pilotage.control.revoke_key import revoke_key
from pilotage.control.rotate_key import rotate_key
from pilotage.core.clock import to_text
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.identity.service_key import DEFAULT_DAYS, LOCAL_SCOPES, KeyKind
from pilotage.store.service_keys import list_keys

Identifier = Annotated[str, typer.Argument(metavar="ID", help="The ten characters after plt_sk_.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Keys of people (local mode) and services.")
    for name, function in (("create", create), ("list", list_all), ("rotate", rotate), ("revoke", revoke)):
        group.command(name)(command(function))
    app.add_typer(group, name="key")


def create(
    options: Options,
    person: Annotated[str | None, typer.Option("--for", metavar="PERSON")] = None,
    service: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    owner: Annotated[str | None, typer.Option(metavar="PERSON", help="Who answers for the service.")] = None,
    space: Annotated[list[str] | None, typer.Option()] = None,
    workflow: Annotated[list[str] | None, typer.Option()] = None,
    scope: Annotated[list[str] | None, typer.Option()] = None,
    group: Annotated[list[str] | None, typer.Option()] = None,
    ip: Annotated[list[str] | None, typer.Option()] = None,
    days: Annotated[int, typer.Option()] = DEFAULT_DAYS,
) -> None:
    """Create a key for a person (local mode; yourself by default) or a service. It is shown once."""
    with options.open("pilotage key create") as instance:
        actor = options.actor(instance)
        holder = service or person or str(actor.person)
        request = KeyRequest(
            kind=KeyKind.SERVICE if service else KeyKind.LOCAL,
            name=holder,
            owner=PersonId(owner or (str(actor.person) if service else holder)),
            spaces=tuple(space or ()),
            workflows=tuple(workflow or ()),
            scopes=tuple(scope or LOCAL_SCOPES),
            groups=tuple(group or ()),
            ips=tuple(ip or ()),
            days=days,
        )
        done = create_key(instance, actor=actor, request=request)
    if isinstance(done, Refusal):
        options.refuse(done)
    record = {"key": done.text, "id": done.key.id, "for": holder, "expires_at": to_text(done.key.expires_at)}

    def render(out: Console) -> None:
        out.print(done.text, soft_wrap=True)
        options.say(f"For {holder}, until {record['expires_at']}. Shown once: keep it safe.")

    options.show(record, render)


def list_all(options: Options) -> None:
    """List keys, without their secrets."""
    with options.open("pilotage key list") as instance, instance.engine.connect() as connection:
        found = list_keys(connection)
    rows = [
        {
            "id": key.id,
            "kind": str(key.kind),
            "name": key.name,
            "owner": key.owner,
            "expires_at": to_text(key.expires_at),
            "revoked_at": None if key.revoked_at is None else to_text(key.revoked_at),
        }
        for key in found
    ]

    def render(out: Console) -> None:
        table = Listing("id!", "kind", "name", "owner", "expires!", "revoked!")
        for row in rows:
            table.add_row(*(escape(minute(str(value or "-"))) for value in row.values()))
        out.print(table)

    options.show({"keys": rows}, render)


def rotate(options: Options, identifier: Identifier) -> None:
    """Replace a key; the old one works on for seven days."""
    with options.open("pilotage key rotate") as instance:
        done = rotate_key(instance, actor=options.actor(instance), identifier=identifier)
    if isinstance(done, Refusal):
        options.refuse(done)
    record = {"key": done.issued.text, "id": done.issued.key.id, "old": done.old, "until": to_text(done.old_expires_at)}
    options.show(record, lambda out: out.print(done.issued.text, soft_wrap=True))


def revoke(options: Options, identifier: Identifier) -> None:
    """Revoke a key; every process refuses it within a second."""
    with options.open("pilotage key revoke") as instance:
        at = revoke_key(instance, actor=options.actor(instance), identifier=identifier)
    options.show({"id": identifier, "revoked_at": to_text(at)}, lambda out: out.print(f"{identifier} is revoked."))
