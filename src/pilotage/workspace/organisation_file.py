"""Reads `pilotage.yaml`: organisation, identity, people, roster, board, space order, gateway, channels, freezes.

Rule: an owner is a person; secrets stand elsewhere and are named by reference; a limit stays under its ceiling.
Fail mode: every mistake at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pilotage.core.fields import (
    TEXT,
    Fields,
    Reader,
    choice,
    list_of,
    map_of,
    matching,
    record,
)
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.located import Located, Problems
from pilotage.core.readers import DAYS, NETWORKS, PERSON, SECRET_REF, SLUG_TEXT, SPACE, TIME_ZONE
from pilotage.core.urls import URL
from pilotage.identity.roles import Role
from pilotage.space.settings import Tier
from pilotage.workspace.evidence_sources import EvidenceSettings, parse_evidence
from pilotage.workspace.gate_file import ROLE
from pilotage.workspace.gateway import GatewaySettings
from pilotage.workspace.gateway_file import parse_gateway
from pilotage.workspace.index import IndexSettings, parse_index
from pilotage.workspace.kubernetes import KubernetesSettings
from pilotage.workspace.kubernetes_file import GPU_SELECTOR, parse_kubernetes
from pilotage.workspace.people import IdentityMode, IdentitySettings, Person, Seat
from pilotage.workspace.people_file import parse_identity, parse_person, read_identity_word
from pilotage.workspace.plan import Freeze
from pilotage.workspace.plan_file import parse_freeze
from pilotage.workspace.records import Channel, MessageKind, ProviderSettings

_LEDGER = matching(
    re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,118}[a-z0-9])?"),
    "letters, digits, dots and hyphens, such as ledger.bank.example",
)
_NAMES = list_of(SLUG_TEXT, or_one=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """What `pilotage.yaml` itself holds; fields as in `records.Workspace`. `at` is the file, for cross-checks."""

    at: Located
    id: str
    organisation: str
    timezone: str
    ledger: str
    identity: IdentitySettings
    people: Mapping[PersonId, Person]
    groups: frozenset[str]
    roster: Mapping[Role, tuple[PersonId, ...]]
    seats: tuple[Seat, ...]
    tiers: Mapping[SpaceName, Tier]
    gateway: GatewaySettings
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    exporters: frozenset[str] = frozenset()
    freezes: tuple[Freeze, ...] = ()
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    gpu_selectors: Mapping[str, str] = field(default_factory=dict)
    denied_licences: frozenset[str] = frozenset()
    backup_retention_days: int | None = None
    index: IndexSettings = field(default_factory=IndexSettings)
    kubernetes: KubernetesSettings | None = None


def parse_organisation(fields: Fields) -> Organisation:
    """Read `pilotage.yaml`."""
    identifier = fields.need("id", SLUG_TEXT)
    people = _people(fields)
    declared = fields.get("groups", _GROUPS, frozenset())
    held = frozenset(group for person in people.values() for group in person.groups)
    channels = fields.get("notifications", map_of(record(_channel)), {})
    return Organisation(
        at=fields.at,
        id=identifier,
        organisation=fields.need("organisation", TEXT),
        timezone=fields.need("timezone", TIME_ZONE),
        ledger=fields.get("ledger", _LEDGER, f"ledger.{identifier}"),
        identity=fields.need("identity", _IDENTITY),
        people=people,
        groups=declared | held,
        roster=_roster(fields, people),
        seats=_seats(fields),
        tiers=_tiers(fields),
        gateway=fields.get("gateway", record(parse_gateway), GatewaySettings()),
        providers=_named(fields.get("providers", map_of(record(_provider)), {})),
        channels={name: replace(one, name=name) for name, one in channels.items()},
        exporters=frozenset(fields.get("exporters", _NAMES, ())) | {"prometheus"},
        freezes=fields.get("freezes", list_of(record(parse_freeze)), ()),
        evidence=fields.get("evidence", record(parse_evidence), EvidenceSettings()),
        gpu_selectors=fields.get("gpu_selectors", map_of(GPU_SELECTOR), {}),
        denied_licences=fields.get("licences", record(_denied_licences), frozenset()),
        backup_retention_days=fields.get("backup_retention", DAYS, None),
        index=fields.get("index", record(parse_index), IndexSettings()),
        kubernetes=fields.get("kubernetes", record(parse_kubernetes), None),
    )


def _read_identity(at: Located, problems: Problems) -> IdentitySettings:
    return read_identity_word(at, problems) or record(parse_identity).read(at, problems)


_IDENTITY: Reader[IdentitySettings] = Reader(
    read=_read_identity, stand_in=lambda: IdentitySettings(mode=IdentityMode.LOCAL)
)


def _people(fields: Fields) -> Mapping[PersonId, Person]:
    listed = fields.get("people", list_of(record(parse_person)), ())
    found: dict[PersonId, Person] = {}
    emails: dict[str, PersonId] = {}
    accounts: dict[str, PersonId] = {}
    for person in listed:
        if person.id and person.id in found:
            fields.problem("people", f"Two people have the id {person.id!r}", "Give each an id of their own.")
        found[person.id] = person
        for kind, values, known in (("e-mail", person.emails, emails), ("account", person.accounts, accounts)):
            for value in values:
                other = known.setdefault(value.casefold() if kind == "e-mail" else value, person.id)
                if other != person.id:
                    what = f"The {kind} {value!r} belongs to {other!r} and to {person.id!r}"
                    fields.problem("people", what, "An address identifies one person: authorship depends on it.")
    return found


def _read_groups(at: Located, problems: Problems) -> frozenset[str]:
    if isinstance(at.node, Mapping):
        return frozenset(map_of(TEXT).read(at, problems))
    return frozenset(list_of(TEXT).read(at, problems))


_GROUPS: Reader[frozenset[str]] = Reader(read=_read_groups, stand_in=frozenset)


def _roster(fields: Fields, people: Mapping[PersonId, Person]) -> Mapping[Role, tuple[PersonId, ...]]:
    """Return who holds each role: people's own `roles` and the lists of `roster`, without repetition."""
    listed = fields.get("roster", map_of(list_of(PERSON, or_one=True)), {})
    where = fields.place("roster").node
    held: dict[Role, list[PersonId]] = {}
    for person in people.values():
        for role in person.roles:
            held.setdefault(role, []).append(person.id)
    for name, members in listed.items():
        at = where[name] if isinstance(where, Mapping) else fields.at
        named = Located(file=at.file, line=at.line, path=at.path, node=name)
        held.setdefault(ROLE.read(named, fields.problems), []).extend(members)
    return {role: tuple(dict.fromkeys(held[role])) for role in Role if role in held}


def _seats(fields: Fields) -> tuple[Seat, ...]:
    seats = fields.get("board", record(lambda inner: inner.need("seats", list_of(record(_seat)))), ())
    roles = [seat.role for seat in seats]
    for role in sorted({role for role in roles if roles.count(role) > 1}):
        fields.problem("board", f"The seat {role.value!r} stands twice", "Write each seat once.")
    holders = [seat.holder for seat in seats if seat.holder]
    for person in sorted({person for person in holders if holders.count(person) > 1}):
        fields.problem("board", f"{person!r} holds two seats", "One person fills one seat.")
    return seats


def _seat(fields: Fields) -> Seat:
    seat = Seat(
        role=fields.need("role", ROLE),
        holder=fields.need("holder", PERSON),
        alternates=fields.get("alternates", list_of(PERSON, or_one=True), ()),
    )
    if seat.holder and seat.holder in seat.alternates:
        fields.problem("alternates", f"{seat.holder!r} is their own alternate", "Name somebody else.")
    return seat


def _tiers(fields: Fields) -> Mapping[SpaceName, Tier]:
    listed = fields.need("spaces", list_of(record(_tier), at_least=1))
    names = [name for name, _ in listed]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        fields.problem("spaces", f"The space {name!r} stands twice in the order", "Write each space once.")
    ranks = [list(Tier).index(tier) for _, tier in listed]
    if ranks != sorted(ranks):
        hint = "Write them in the order sandbox, dev, qa, staging, production."
        fields.problem("spaces", "The tiers of the spaces go back and forth", hint)
    return dict(listed)


def _tier(fields: Fields) -> tuple[SpaceName, Tier]:
    return fields.need("name", SPACE), fields.need("tier", choice(Tier))


def _channel(fields: Fields) -> Channel:
    kinds = fields.need("kinds", list_of(choice(MessageKind), or_one=True, at_least=1))
    return Channel(
        name="",
        url_ref=fields.need("url", SECRET_REF),
        kinds=frozenset(kinds),
        allow_private=fields.get("allow_private", NETWORKS, ()),
    )


def _provider(fields: Fields) -> ProviderSettings:
    return ProviderSettings(
        name="",
        base_url=fields.need("base_url", URL),
        auth_ref=fields.get("auth", SECRET_REF, None),
        region=fields.get("region", TEXT, None),
        subprocessor=fields.get("subprocessor", TEXT, None),
    )


def _named(providers: Mapping[str, ProviderSettings]) -> Mapping[str, ProviderSettings]:
    return {name: replace(one, name=name) for name, one in providers.items()}


def _denied_licences(fields: Fields) -> frozenset[str]:
    return frozenset(fields.get("deny", list_of(TEXT, or_one=True), ()))
