"""A small bank with corpora, on a real database, for tests of refresh and review."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pilotage.adapters.keyring import Keyring
from pilotage.control.instance import Instance
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.core.digest import digest_of
from pilotage.core.ids import CorpusName, PersonId, PrincipalId
from pilotage.corpus.connector import Connector
from pilotage.corpus.settings import Classification, CorpusSettings, Review, Source, SourceKind
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Role
from pilotage.store.engine import make_engine
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.connectors import MemoryConnector, MemoryDocument
from pilotage.workspace.gateway import GatewaySettings
from pilotage.workspace.people import IdentityMode, IdentitySettings
from pilotage.workspace.records import Workspace

OWNER, STEWARD = PersonId("olga.owner"), PersonId("sam.steward")


def person(name: str, *groups: str, roles: frozenset[Role] = frozenset()) -> Principal:
    return Principal(
        id=PrincipalId(f"local|{name}"),
        kind=PrincipalKind.PERSON,
        person=PersonId(name),
        groups=frozenset(groups),
        roles=roles,
        label=name,
        via="local",
    )


def settings(name: str, **changes: object) -> CorpusSettings:
    plain = CorpusSettings(
        name=CorpusName(name),
        source=Source(kind=SourceKind.FOLDER, path="documents"),
        owner=OWNER,
        steward=STEWARD,
        classification=Classification.INTERNAL,
        region="us",
        acl=("group:everyone",),
        review=Review.SINGLE,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class Bank:
    """One instance whose corpora a test declares as it goes."""

    instance: Instance
    clock: SimulatedClock
    owner: Principal = field(default_factory=lambda: person(OWNER))
    steward: Principal = field(default_factory=lambda: person(STEWARD))

    def declare(self, given: CorpusSettings) -> CorpusName:
        corpora = {**self.instance.workspace.corpora, given.name: given}
        workspace = replace(self.instance.workspace, corpora=corpora)
        self.instance = replace(self.instance, workspace=workspace)
        return given.name

    def folder(self, corpus: str) -> Path:
        path = self.instance.root / "corpora" / corpus / "documents"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def refresh(
        self,
        corpus: str,
        source: Path | Connector | None = None,
        *,
        accept: bool = True,
        actor: Principal | None = None,
        tools: RefreshTools | None = None,
    ) -> RefreshResult:
        given = tools or RefreshTools()
        if source is not None and not isinstance(source, Path):
            given = replace(given, connector=source)
        result = refresh_corpus(
            self.instance,
            actor=actor or self.steward,
            corpus=CorpusName(corpus),
            source=source if isinstance(source, Path) else None,
            accept=accept,
            tools=given,
        )
        assert isinstance(result, RefreshResult), result
        return result


@pytest.fixture
def make_settings() -> Callable[..., CorpusSettings]:
    return settings


@pytest.fixture
def make_person() -> Callable[..., Principal]:
    return person


_names = itertools.count(1)


@pytest.fixture
def fresh_name() -> Callable[[], str]:
    return lambda: f"corpus-{next(_names)}"


def make_bank(engine: Engine, folder: Path) -> Bank:
    """Return a bank without any corpus; `folder` holds its workspace, home and keys."""
    clock = SimulatedClock()
    workspace = Workspace(
        id="test-bank",
        organisation="Test Bank",
        timezone="America/New_York",
        ledger="ledger.test-bank.example",
        identity=IdentitySettings(mode=IdentityMode.LOCAL),
        people={},
        groups=frozenset(),
        roster={},
        seats=(),
        order=(),
        spaces={},
        gates={},
        workflows={},
        corpora={},
        gateway=GatewaySettings(),
        digest=digest_of(b"test bank"),
    )
    keyring = Keyring(folder=folder / "keys", master=bytes(32), source="test", created=False)
    instance = Instance(
        workspace=workspace,
        root=folder / "bank",
        home=folder / "home",
        engine=engine,
        clock=clock,
        keyring=keyring,
        embedded=False,
    )
    return Bank(instance=instance, clock=clock)


@pytest.fixture
def bank(engine: Engine, tmp_path: Path) -> Bank:
    return make_bank(engine, tmp_path)


def killed_refresh(folder: Path, database_url: str, corpus: str, edition: int) -> None:
    """Refresh in a process of its own, which its parent kills."""
    documents = {
        f"d{n:03}.txt": MemoryDocument(
            data=f"Rule {n} of edition {edition if n % 3 == 0 else 0} names its limit.".encode(),
            suffix=".txt",
            acl=["group:everyone"],
        )
        for n in range(400)
    }
    bank = make_bank(make_engine(database_url), folder)
    bank.declare(settings(corpus, acl=()))
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    bank.refresh(corpus, MemoryConnector(documents=documents))
