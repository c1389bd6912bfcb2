"""One request as pages see it: who, where, with what; and what the console is joined with.

Pages read through `reading`, whose statements end after 2 s, and change state only by control commands on `instance`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from pilotage.console.live import LiveBoard
from pilotage.console.multipart import Part
from pilotage.console.waiting import WaitingCounts
from pilotage.control.console_session import SignedIn
from pilotage.control.instance import Instance
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.digest import digest_of_json, short
from pilotage.core.reason import Reason
from pilotage.core.zones import zone_named
from pilotage.identity.principal import Principal
from pilotage.identity.refused import CredentialRefused
from pilotage.identity.sign_in import Attempt, Proven
from pilotage.serving.context import Asked, Peer
from pilotage.serving.run import Finished, Sink
from pilotage.store.person_settings import Settings


class Rendering(Protocol):
    """Renders a part of a page for a stream, exactly as the whole page would. Real: console/render.py."""

    def part(self, template: str, name: str, *arguments: object) -> str:
        """Return what one macro of a template prints."""
        ...


class Asking(Protocol):
    """Answers questions through the serving path of this process. Real: console/asking.py."""

    async def ask(self, asked: Asked, *, principal: Principal, peer: Peer, sink: Sink | None = None) -> Finished:
        """Answer one question of a signed-in person."""
        ...


class Provider(Protocol):
    """Signs people in with the identity provider. Real: adapters/identity_providers/sign_in.py."""

    async def page(self, attempt: Attempt) -> str:
        """Return the provider's page for an attempt; raise Unavailable."""
        ...

    async def redeem(self, code: str, attempt: Attempt, *, issuer: str | None = None) -> Proven | CredentialRefused:
        """Exchange the code that the provider gave for who is there; raise Unavailable."""
        ...

    async def sign_out_page(self) -> str | None:
        """Return the provider's page that ends its own session, when it has one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the console is joined with at start. `redact` cleans text for storage.

    `provider` is None in local identity mode, and when the workspace declares no `sign_in`.
    """

    instance: Instance
    reading: Instance
    redact: Callable[[str], str]
    asking: Asking
    ports: RolloutPorts
    provider: Provider | None = None
    live: LiveBoard = field(default_factory=LiveBoard)
    waiting: WaitingCounts = field(default_factory=WaitingCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request. `problems` are why a form is shown again; `form` then holds what was typed.

    `page` is the name of the page at this address; `notice` is a sentence above the page; `query` keeps the first
    value of each name; `theme` is light, dark or auto; `login_secret` is the cookie of a sign-in that this browser
    began.
    """

    services: Services
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Part] = field(default_factory=dict)
    signed_in: SignedIn | None = None
    now: datetime
    peer: Peer
    theme: str = "auto"
    login_secret: str | None = field(default=None, repr=False)
    is_secure: bool = False
    wants_events: bool = False
    last_event: str = ""
    renderer: Rendering | None = None
    page: str = ""
    problems: tuple[Reason, ...] = ()
    notice: str = ""

    @property
    def reading(self) -> Instance:
        """The instance that pages read with."""
        return self.services.reading

    @property
    def instance(self) -> Instance:
        """The instance that commands run with."""
        return self.services.instance

    @property
    def actor(self) -> Principal:
        """Who is signed in; only pages for signed-in people may ask."""
        if self.signed_in is None:
            message = "This page was opened without a session."
            raise RuntimeError(message)
        return self.signed_in.principal

    @property
    def viewer(self) -> str:
        """Name the person together with their roles: two sessions of one person may hold different ones."""
        held = digest_of_json(sorted(role.value for role in self.actor.roles))
        return f"{self.actor.id}/{short(held)}"

    @property
    def settings(self) -> Settings:
        """What the person chose for their pages."""
        return Settings() if self.signed_in is None else self.signed_in.settings

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the page's times: UTC on paper, the workspace's for who chose none that is known here."""
        chosen = "UTC" if self.is_print else self.settings.zone or self.reading.workspace.timezone
        return zone_named(chosen) or ZoneInfo(self.reading.workspace.timezone)

    @property
    def is_print(self) -> bool:
        """Whether the page is wanted as it is printed."""
        return self.query.get("print") == "1"

    @property
    def print_path(self) -> str:
        """The address of this page as it is printed, or of the page itself when it is."""
        asked = {name: value for name, value in self.query.items() if name != "print"}
        query = urlencode(asked if self.is_print else {**asked, "print": "1"})
        return f"{self.path}?{query}" if query else self.path

    def typed(self, name: str) -> str:
        """Return a form value, empty when it was not sent."""
        return self.form.get(name, "")
