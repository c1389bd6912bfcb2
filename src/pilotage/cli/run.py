"""`pilotage up | serve | worker | migrate | demo`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Annotated

import typer

from pilotage.cli.demo import Demo
from pilotage.cli.options import Options, command
from pilotage.cli.runtime import Runtime
from pilotage.control.load_workspace import find_workspace
from pilotage.core.errors import UsageError
from pilotage.store.embedded_home import resolve_home
from pilotage.store.embedded_upgrade import upgrade_embedded
from pilotage.store.migrate import newest_revision
from pilotage.workspace.people import IdentityMode

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)]
DatabaseUrl = Annotated[str | None, typer.Option("--database-url", metavar="URL")]


def register(app: typer.Typer, runtime: Runtime) -> None:
    """Add the commands."""
    app.command("up")(command(_up(runtime)))
    app.command("serve")(command(_serve(runtime)))
    app.command("worker")(command(_worker(runtime)))
    app.command("migrate")(command(migrate))
    app.command("demo")(command(_demo(runtime)))


def check_host(options: Options, host: str) -> None:
    """Refuse to show local identity mode to the network: whoever reaches it could guess at people."""
    _, workspace = find_workspace(options.start)
    if workspace.identity.mode is not IdentityMode.LOCAL or _is_loopback(host):
        return
    message = f"Local identity mode serves loopback only, and {host} is not."
    raise UsageError("LOCAL_ONLY", message, hint="Use --host 127.0.0.1, or identity: oidc in pilotage.yaml.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _up(runtime: Runtime) -> Callable[..., None]:
    def up(options: Options, host: Host = "127.0.0.1", port: Port = 8080, database_url: DatabaseUrl = None) -> None:
        """Run everything in one process tree: database, gateway, worker."""
        check_host(options, host)
        opening = options.opening("pilotage up", owner=True, may_migrate=True, database_url=database_url)
        runtime.serve(opening, host=host, port=port, with_worker=True)

    return up


def _serve(runtime: Runtime) -> Callable[..., None]:
    def serve(options: Options, host: Host = "127.0.0.1", port: Port = 8080, database_url: DatabaseUrl = None) -> None:
        """Serve the gateway alone; run any number of these beside any number of workers."""
        check_host(options, host)
        opening = options.opening("pilotage serve", database_url=database_url)
        runtime.serve(opening, host=host, port=port, with_worker=False)

    return serve


def _worker(runtime: Runtime) -> Callable[..., None]:
    def worker(options: Options, database_url: DatabaseUrl = None) -> None:
        """Run jobs, schedules and the ledger's sequencer alone."""
        runtime.work(options.opening("pilotage worker", database_url=database_url))

    return worker


def migrate(
    options: Options,
    upgrade: Annotated[bool, typer.Option("--upgrade-embedded", help="Move to a newer embedded PostgreSQL.")] = False,
) -> None:
    """Bring the database to this installation's schema."""
    if upgrade:
        opening = options.opening("pilotage migrate")
        _, workspace = find_workspace(opening.start)
        upgrade_embedded(resolve_home(workspace.id, opening.environ), opening.environ, opening.say)
    with options.open("pilotage migrate", may_migrate=True):
        options.show({"schema": newest_revision()}, lambda out: out.print(f"The schema is at {newest_revision()}."))


def _demo(runtime: Runtime) -> Callable[..., None]:
    def demo(
        options: Options,
        speed: Annotated[float, typer.Option(help="Pauses between the scenes are divided by this.", min=0.1)] = 10.0,
        keep: Annotated[bool, typer.Option("--keep", help="Leave the server running at the end.")] = False,
        acts: Annotated[
            int,
            typer.Option(min=1, max=4, help="1: sandbox; 2: gates; 3: rollout; 4: a bad release through all of it."),
        ] = 3,
        port: Port = 8080,
    ) -> None:
        """Tell the whole story on the sample bank, for real: from the first refresh to a takedown."""
        Demo(runtime=runtime, options=options, speed=speed, keep=keep, port=port, acts=acts).run()

    return demo
