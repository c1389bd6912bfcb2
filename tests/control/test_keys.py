"""Keys: who may make, rotate and revoke them, what is stored, recorded and announced."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

import pilotage
from pilotage.adapters.keyring import Keyring
from pilotage.control.create_key import IssuedKey, KeyRequest, create_key
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.control.revoke_key import revoke_key
from pilotage.control.rotate_key import RotatedKey, rotate_key
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.roles import Role
from pilotage.identity.service_key import KeyKind, check_key, parse_key
from pilotage.ledger.entry import decode_entry
from pilotage.store.engine import psycopg_url
from pilotage.store.ledger_entries import disclosures_of_entry, entries_of
from pilotage.store.service_keys import find_key, keys_of, list_keys
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.people import IdentityMode, IdentitySettings
from pilotage.workspace.principals import key_principal, linked_accounts, local_principal, persona_principal

pytestmark = pytest.mark.store
ADA, BEN = PersonId("ada"), PersonId("ben")
START = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def instance(engine: Engine, tmp_path: Path) -> Iterator[Instance]:
    workspace = load_workspace(Path(pilotage.__file__).parent / "templates" / "minimal")
    yield Instance(
        workspace=workspace,
        root=tmp_path,
        home=tmp_path,
        engine=engine,
        clock=SimulatedClock(START),
        keyring=Keyring.open(tmp_path, {}, create=True),
        embedded=False,
    )
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM service_key"))


def local(person: PersonId, **changes: object) -> KeyRequest:
    return replace(KeyRequest(kind=KeyKind.LOCAL, name=person, owner=person), **changes)  # type: ignore[arg-type]


def service(**changes: object) -> KeyRequest:
    request = KeyRequest(kind=KeyKind.SERVICE, name="crm", owner=BEN, scopes=("ask",), groups=("staff",))
    return replace(request, **changes)  # type: ignore[arg-type]


def issued(found: IssuedKey | Refusal) -> IssuedKey:
    assert isinstance(found, IssuedKey)
    return found


def code(found: object) -> str:
    assert isinstance(found, Refusal)
    return found.reasons[0].code


def test_a_person_makes_a_key_for_themself_and_it_proves_them(instance: Instance) -> None:
    ben = local_principal(instance.workspace, BEN)
    made = issued(create_key(instance, actor=ben, request=local(BEN)))
    parts = parse_key(made.text)
    assert parts is not None
    with instance.engine.connect() as connection:
        stored = find_key(connection, parts.id)
    assert stored == made.key
    assert stored is not None
    assert check_key(stored, parts, now=START) is None
    assert stored.expires_at == START + timedelta(days=90)
    principal = key_principal(instance.workspace, stored)
    assert isinstance(principal, Principal)
    assert (principal.id, principal.groups, principal.via) == ("local|ben", ben.groups, stored.id)
    assert principal.roles == {Role.DATA_GOVERNANCE_LEAD, Role.SECURITY_ENGINEER}


def test_the_secret_is_stored_nowhere_and_shown_once(instance: Instance) -> None:
    ada = local_principal(instance.workspace, ADA)
    made = issued(create_key(instance, actor=ada, request=local(ADA)))
    parts = parse_key(made.text)
    assert parts is not None
    assert parts.secret not in repr(made)
    assert made.text not in repr(made)
    with instance.engine.connect() as connection:
        rows = connection.execute(text("SELECT row_to_json(k)::text FROM service_key k")).scalars().all()
        entries = connection.execute(text("SELECT bytes FROM ledger_entry")).scalars().all()
    assert all(parts.secret not in row for row in rows)
    assert all(parts.secret.encode() not in bytes(entry) for entry in entries)
    assert hashlib.sha256(parts.secret.encode()).digest() == made.key.secret_sha256


def test_only_a_workspace_admin_makes_keys_for_others_and_services(instance: Instance) -> None:
    ada, ben = (local_principal(instance.workspace, person) for person in (ADA, BEN))
    assert code(create_key(instance, actor=ben, request=local(ADA))) == "NOT_PERMITTED"
    assert code(create_key(instance, actor=ben, request=service())) == "NOT_PERMITTED"
    made = issued(create_key(instance, actor=ada, request=service(spaces=("sandbox",), workflows=("assistant",))))
    principal = key_principal(instance.workspace, made.key)
    assert isinstance(principal, Principal)
    assert (principal.id, principal.kind) == ("key|crm", PrincipalKind.SERVICE)
    assert principal.roles == frozenset({Role.SERVICE})
    assert issued(create_key(instance, actor=ada, request=local(BEN))).key.name == "ben"


def test_the_ledger_entry_names_no_person_and_opens_with_its_disclosures(instance: Instance) -> None:
    made = issued(create_key(instance, actor=local_principal(instance.workspace, ADA), request=local(ADA, days=1)))
    with instance.engine.connect() as connection:
        (stored,) = entries_of(connection, made.key.id)
        opened = {item.field: item for item in disclosures_of_entry(connection, stored.id)}
    entry = decode_entry(stored.bytes)
    assert (entry.kind, entry.data["kind"], entry.data["expires_at"]) == (
        "key.created",
        "local",
        "2026-02-02T00:00:00.000Z",
    )
    assert re.search(rb"\bada\b", stored.bytes.lower()) is None  # as a word: digests are full of letters
    assert {field: item.value for field, item in opened.items()} == {"owner": "ada", "name": "ada"}
    assert all(entry.commit[field] == item.commitment for field, item in opened.items())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (service(owner=PersonId("eve")), "There is no person 'eve'"),
        (service(name="C R M"), "cannot name a service"),
        (service(spaces=("sandbix",)), "Did you mean 'sandbox'"),
        (service(workflows=("other",)), "There is no workflow"),
        (service(groups=("stuff",)), "Did you mean 'staff'"),
        (service(scopes=()), "without scopes"),
        (service(scopes=("admin",)), "is not a scope"),
        (service(ips=("10.0.0.1/8",)), "is not an address"),
        (service(days=366), "cannot live 366 days"),
        (service(days=0), "cannot live 0 days"),
        (local(BEN, owner=ADA), "belongs to that person"),
        (local(PersonId("eve")), "There is no person 'eve'"),
    ],
)
def test_names_and_values_that_do_not_exist_are_refused(instance: Instance, request_: KeyRequest, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_key(instance, actor=local_principal(instance.workspace, ADA), request=request_)
    with instance.engine.connect() as connection:
        assert list_keys(connection) == ()


def test_a_service_has_two_live_keys_at_most(instance: Instance) -> None:
    ada = local_principal(instance.workspace, ADA)
    first = issued(create_key(instance, actor=ada, request=service()))
    issued(create_key(instance, actor=ada, request=service()))
    assert code(create_key(instance, actor=ada, request=service())) == "KEY_LIMIT"
    assert code(rotate_key(instance, actor=ada, identifier=first.key.id)) == "KEY_LIMIT"
    revoke_key(instance, actor=ada, identifier=first.key.id)
    issued(create_key(instance, actor=ada, request=service()))
    assert code(rotate_key(instance, actor=ada, identifier=first.key.id)) == "KEY_NOT_LIVE"


def test_rotation_keeps_the_rights_and_ends_the_old_key_after_the_overlap(instance: Instance) -> None:
    ada = local_principal(instance.workspace, ADA)
    old = issued(create_key(instance, actor=ada, request=service(ips=("10.0.0.0/8",), days=30)))
    found = rotate_key(instance, actor=local_principal(instance.workspace, BEN), identifier=old.key.id)
    assert isinstance(found, RotatedKey)
    assert found.old_expires_at == START + timedelta(days=7)
    new = found.issued.key
    assert (new.name, new.scopes, new.groups, new.ips, new.owner) == (
        "crm",
        ("ask",),
        ("staff",),
        ("10.0.0.0/8",),
        "ben",
    )
    assert new.expires_at == START + timedelta(days=30)
    with instance.engine.connect() as connection:
        first, second = sorted(keys_of(connection, KeyKind.SERVICE, "crm"), key=lambda key: key.expires_at)
        kinds = [entry.kind for entry in entries_of(connection, old.key.id)]
    assert (first.expires_at, second.id) == (START + timedelta(days=7), new.id)
    assert sorted(kinds) == ["key.created", "key.rotated"]


def test_an_overlap_never_prolongs_a_key(instance: Instance) -> None:
    ada = local_principal(instance.workspace, ADA)
    old = issued(create_key(instance, actor=ada, request=service(days=1)))
    found = rotate_key(instance, actor=ada, identifier=old.key.id, overlap=timedelta(days=7))
    assert isinstance(found, RotatedKey)
    assert found.old_expires_at == START + timedelta(days=1)
    with pytest.raises(UsageError, match="overlap"):
        rotate_key(instance, actor=ada, identifier=old.key.id, overlap=timedelta(days=-1))


def test_revoking_is_for_the_owner_or_an_admin_and_happens_once(instance: Instance) -> None:
    ada, ben = (local_principal(instance.workspace, person) for person in (ADA, BEN))
    mine = issued(create_key(instance, actor=ada, request=local(ADA)))
    with pytest.raises(NotFound, match="no key"):
        revoke_key(instance, actor=ben, identifier=mine.key.id)
    with pytest.raises(NotFound, match="no key"):
        revoke_key(instance, actor=ada, identifier="unknown")
    assert revoke_key(instance, actor=ada, identifier=mine.key.id) == START
    assert isinstance(instance.clock, SimulatedClock)
    instance.clock.advance(timedelta(hours=1))
    assert revoke_key(instance, actor=ada, identifier=mine.key.id) == START
    parts = parse_key(mine.text)
    assert parts is not None
    with instance.engine.connect() as connection:
        refused = check_key(find_key(connection, mine.key.id), parts, now=instance.clock.now())
        kinds = [entry.kind for entry in entries_of(connection, mine.key.id)]
    assert refused is not None
    assert refused.code is CredentialCode.KEY_REVOKED
    assert sorted(kinds) == ["key.created", "key.revoked"]


def test_every_change_is_announced_to_all_processes(instance: Instance, database_url: str) -> None:
    ada = local_principal(instance.workspace, ADA)
    with psycopg.connect(psycopg_url(database_url), autocommit=True) as listener:
        listener.execute("LISTEN pilotage_keys")
        made = issued(create_key(instance, actor=ada, request=local(ADA)))
        revoke_key(instance, actor=ada, identifier=made.key.id)
        heard = [note.payload for note in listener.notifies(timeout=5, stop_after=2)]
    assert heard == [made.key.id, made.key.id]


def test_with_an_identity_provider_local_keys_are_off(instance: Instance) -> None:
    ada = local_principal(instance.workspace, ADA)
    made = issued(create_key(instance, actor=ada, request=local(ADA)))
    oidc = replace(instance.workspace, identity=IdentitySettings(mode=IdentityMode.OIDC))
    refused = key_principal(oidc, made.key)
    assert isinstance(refused, CredentialRefused)
    assert refused.code is CredentialCode.INVALID_KEY
    assert code(create_key(replace(instance, workspace=oidc), actor=ada, request=local(ADA))) == "LOCAL_KEYS_OFF"
    gone = replace(instance.workspace, people={})
    assert isinstance(key_principal(gone, made.key), CredentialRefused)


def test_people_personas_and_accounts_become_principals(instance: Instance) -> None:
    workspace = instance.workspace
    with pytest.raises(NotFound, match="Did you mean 'ada'"):
        local_principal(workspace, PersonId("adda"))
    workflow = next(iter(workspace.workflows.values()))
    persona = persona_principal(workflow, "lender")
    assert (persona.id, persona.kind, persona.person) == ("persona|lender", PrincipalKind.PERSONA, None)
    with pytest.raises(NotFound, match="Did you mean 'lender'"):
        persona_principal(workflow, "lander")
    ada = replace(workspace.people[ADA], accounts=("https://idp.example|42",))
    linked = linked_accounts(replace(workspace, people={ADA: ada}))
    assert linked["https://idp.example|42"].person == ADA
    assert Role.WORKSPACE_ADMIN in linked["https://idp.example|42"].roles


def test_two_creations_at_once_keep_the_limit(instance: Instance, run_at_once: Callable[..., list[object]]) -> None:
    ada = local_principal(instance.workspace, ADA)
    found = run_at_once(lambda: create_key(instance, actor=ada, request=service()), times=6)
    assert sum(isinstance(one, IssuedKey) for one in found) == 2


@pytest.fixture
def run_at_once() -> Callable[..., list[object]]:
    def run(task: Callable[[], object], *, times: int) -> list[object]:
        with ThreadPoolExecutor(times) as pool:
            return [future.result() for future in [pool.submit(task) for _ in range(times)]]

    return run
