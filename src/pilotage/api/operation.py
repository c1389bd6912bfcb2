"""One command of the control plane as data: its address, what it takes, and the use case that carries it out.

Rule: an operation decides nothing; it reads fields, calls one control command and returns its documented record. Fail
mode: a field that does not fit is a 422 that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec

from pilotage.control.instance import Instance
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.reason import Refusal
from pilotage.gate.records import Login
from pilotage.identity.principal import Principal

T = TypeVar("T")


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Fields of a request; a name nobody knows is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What operations are joined with at start. `redact` cleans text for storage."""

    instance: Instance
    redact: Callable[[str], str]
    refresh_tools: Callable[[Instance], RefreshTools]
    ports: RolloutPorts


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated request. `fields` are of the operation's `takes`; `data` are the bytes of an upload.

    `login` is how a person proved themselves at the identity provider; None for keys, which prove themselves each time.
    `evidence_kinds` are the kinds of evidence that the key it came with may push.
    """

    services: Services
    actor: Principal
    params: Mapping[str, str]
    fields: Any = None
    data: bytes = b""
    login: Login | None = None
    evidence_kinds: frozenset[str] = frozenset()

    @property
    def instance(self) -> Instance:
        """The instance that commands run with."""
        return self.services.instance

    def at_gate(self, command: Callable[..., T], **more: object) -> T:
        """Carry out a command about the release and the gate that the address names."""
        named = {"release": self.params["digest"], "gate": self.params["gate"]}
        return command(self.instance, actor=self.actor, **named, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file, sent piece by piece. `size` in bytes."""

    pieces: Callable[[], Iterator[bytes]]
    size: int
    name: str


Result: TypeAlias = "Mapping[str, Any] | File | Refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method and address. `command` is the command line's name for it; `takes` the fields of body or query.

    `gives` says in a sentence what comes back; `hands_out`: a file does. `uploads`: the body is a file, the fields
    stand in the query; it tells before the body is read why a caller brings none. `variant` tells two operations of one
    command apart. `is_outward`: it waits for somebody else's service, which may be slow.
    """

    method: str
    path: str
    command: str
    summary: str
    gives: str
    run: Callable[[Call], Result]
    takes: type[Body] | None = None
    uploads: Callable[[Principal], Refusal | None] | None = None
    hands_out: bool = False
    variant: str = ""
    is_outward: bool = False

    @property
    def id(self) -> str:
        """Return a stable name for clients: `gate_sign`, `release_show`."""
        return "_".join((*self.command.replace("-", "_").split(), *self.variant.split()))

    @property
    def scope(self) -> str:
        """Return what a service's key must be allowed."""
        return "read" if self.method == "GET" else f"control:{self.command.replace(' ', '-')}"
