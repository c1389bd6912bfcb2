"""The sample bank on a real database, with the console in front of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.console.asking import FakeAsking
from tests.console.browser import Browser

from pilotage.adapters.keyring import Keyring
from pilotage.app import Joined
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.call_session import call_session
from pilotage.control.create_key import IssuedKey, KeyRequest, create_key
from pilotage.control.instance import Instance
from pilotage.control.ledger_checkpoint import prepare_ledger_key, sequence_now
from pilotage.control.load_workspace import load_workspace
from pilotage.control.make_cab_pack import CabPack, make_cab_pack
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.review_version import accept_version
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.control.session_questions import ask_question
from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import CorpusName, PersonId, WorkflowName, new_ulid
from pilotage.core.reason import Refusal
from pilotage.gate.session import Question, Session
from pilotage.identity.principal import Principal
from pilotage.identity.service_key import KeyKind
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.ledger.commitment import commitment
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.rollout.states import State, WaveState
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.rollouts import StoredRollout, StoredWave, add_rollout
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.principals import local_principal

ROOT = Path(__file__).resolve().parents[2]


_INTERACTION = text("""
INSERT INTO interaction (id, at, space, workflow, arm, release, corpus, corpus_version, principal, kind, state, outcome,
  refused, detail)
VALUES (:id, :at, 'sandbox', 'policy-assistant', 'stable', :release, 'policies', 1, :who, 'user', 'final', 'ok', false,
  CAST(:detail AS jsonb))
""")
_TEXT = text("""
INSERT INTO interaction_text (id, question, answer, salt, at) VALUES (:id, :question, :answer, :salt, :at)
""")
_CITATION = text("""
INSERT INTO interaction_citation (interaction, corpus, document, rev, ordinal, marker)
SELECT :id, 'policies', document, 0, 0, 1 FROM revision WHERE corpus = 'policies' AND rev = 0
""")


_VERDICT = text("""
INSERT INTO rollout_verdict (rollout, digest, wave, step, outcome, effect, body, at)
VALUES (:rollout, :digest, 0, 0, 'inconclusive', 'none', :body, :at)
""")


@dataclass
class Bank:
    """The instance and its console."""

    instance: Instance
    clock: SimulatedClock
    asking: FakeAsking
    console: Console
    keys: dict[str, IssuedKey] = field(default_factory=dict)
    release: str = ""

    def person(self, name: str) -> Principal:
        return local_principal(self.instance.workspace, PersonId(name))

    def key(self, name: str) -> IssuedKey:
        if name not in self.keys:
            request = KeyRequest(kind=KeyKind.LOCAL, name=name, owner=PersonId(name), days=365)
            issued = create_key(self.instance, actor=self.person(name), request=request)
            assert isinstance(issued, IssuedKey)
            self.keys[name] = issued
        return self.keys[name]

    def browser(self, name: str | None = None) -> Browser:
        found = Browser(application=self.console)
        if name is not None:
            answer = found.post("/login", {"local_key": self.key(name).text, "next": "/workflows"})
            assert (answer.status, answer.header("location")) == (303, "/workflows")
        return found

    def refresh(self, corpus: str, *, by: str = "maria.chen") -> RefreshResult:
        tools = Joined().refresh_tools(self.instance, lambda _done, _total: None)
        done = refresh_corpus(self.instance, actor=self.person(by), corpus=CorpusName(corpus), tools=tools)
        assert isinstance(done, RefreshResult)
        return done

    def publish(self, corpus: str) -> int:
        number = self.refresh(corpus).version
        assert number is not None
        done = accept_version(
            self.instance, actor=self.person("grace.okafor"), corpus=CorpusName(corpus), version=number
        )
        assert not isinstance(done, Refusal)
        return number

    def answered(self, name: str, question: str, answer: str) -> str:
        """Record one answered question as serving would, citing the first passage; return the interaction."""
        interaction = new_ulid(self.clock.now())
        salt = bytes(range(64))
        with self.instance.engine.begin() as connection:
            who = pseudonym_of(connection, f"local|{name}")
            passages = [{"rev": 0, "chunk": 0, "rank": 1, "score": "1.2"}]
            detail = {"via": "local", "passages": passages, "findings": [], "allowed_count": 12}
            values = {"id": interaction, "at": self.clock.now(), "who": who, "release": self.release, "salt": salt}
            connection.execute(_INTERACTION, values | {"detail": json.dumps(detail)})
            connection.execute(_TEXT, values | {"question": question, "answer": answer})
            connection.execute(_CITATION, values)
            commit = {
                "question": commitment(salt[:32], question),
                "answer": commitment(salt[32:], answer),
            }
            entry = encode_entry(
                id=new_ulid(self.clock.now()),
                kind=EntryKind.INTERACTION_RECORDED,
                at=self.clock.now(),
                actor=who,
                subject=interaction,
                space="sandbox",
                data={"release": self.release},
                commit=commit,
            )
            append(connection, entry)
        return interaction

    def roll_out(self) -> str:
        """Place a rollout of the release that is being observed, with two verdicts; return its id."""
        workflow = self.instance.workspace.workflows[WorkflowName("policy-assistant")]
        assert workflow.rollout is not None
        plan = workflow.rollout.plans[workflow.rollout.default_plan]
        now = self.clock.now()
        stored = StoredRollout(
            id=new_ulid(now),
            workflow=workflow.name,
            release=Digest(self.release),
            plan=plan,
            plan_digest=digest_of(b"plan"),
            salt="00",
            state=State.OBSERVING,
            state_at=now,
            started_by="luis.ortega",
            created_at=now,
        )
        waves = tuple(
            StoredWave(
                rollout=stored.id, number=number, workflow=workflow.name, space=wave.space, state=WaveState.WAITING
            )
            for number, wave in enumerate(plan.waves)
        )
        with self.instance.engine.begin() as connection:
            assert add_rollout(connection, stored, waves)
        self.judge(stored.id, x=1, n=1000)
        self.judge(stored.id, x=3, n=2000)
        return stored.id

    def judge(
        self,
        rollout: str,
        *,
        x: int,
        n: int,
        after: timedelta = timedelta(minutes=5),
        more: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Give a verdict over these counts, a while later."""
        self.clock.advance(after)
        tests = {
            "error_rate.go": {"purpose": "go", "standing": "open", "n": n, "x": x, "limit": "< 0.1%"},
            "latency.trip": {"purpose": "trip", "standing": "quiet", "n": n, "x": 0, "limit": "5 s"},
            "feedback.hold": {"purpose": "hold", "standing": "absent", "n": 0, "x": 0, "limit": ""},
            **more,
        }
        reasons = [{"code": "insufficient_evidence", "text": f"{x} of {n} requests failed; 2,800 more are needed."}]
        body = json.dumps({"outcome": "inconclusive", "effect": "none", "reasons": reasons, "tests": tests}).encode()
        values = {"rollout": rollout, "digest": digest_of(body), "body": body, "at": self.clock.now()}
        with self.instance.engine.begin() as connection:
            connection.execute(_VERDICT, values)

    def call_board(self) -> dict[str, str]:
        """Call a session of the board about the release, with its pack and a question; return their names."""
        pack = make_cab_pack(self.instance, actor=self.person("luis.ortega"), release=self.release)
        assert isinstance(pack, CabPack)
        called = call_session(self.instance, actor=self.person("arthur.bell"), releases=[self.release])
        assert isinstance(called, Session)
        asked = ask_question(
            self.instance,
            actor=self.person("arthur.bell"),
            session=called.id,
            release=self.release,
            text="Who reads the answers in the first week?",
        )
        assert isinstance(asked, Question)
        return {"session": called.id, "pack": pack.digest, "question": asked.id}

    def seal(self) -> Sealed:
        done = seal_release(self.instance, actor=self.person("maria.chen"), workflow="policy-assistant", note="First")
        assert isinstance(done, Sealed)
        return done


@pytest.fixture(scope="module")
def bank(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """The sample bank with its policies published and one release sealed."""
    return make_bank(engine, tmp_path_factory.mktemp("bank"))


def make_bank(engine: Engine, folder: Path, *, clock: SimulatedClock | None = None) -> Bank:
    """Return the sample bank in this folder, with its policies published and one release sealed."""
    root, home = folder / "workspace", folder / "home"
    shutil.copytree(ROOT / "examples" / "northlake-bank", root)
    clock = clock or SimulatedClock()
    instance = Instance(
        workspace=load_workspace(root),
        root=root,
        home=home,
        engine=engine,
        clock=clock,
        keyring=Keyring.open(home, {}, create=True),
        embedded=True,
    )
    assert prepare_ledger_key(instance) is None
    asking = FakeAsking(clock)
    services = Services(
        instance=instance, reading=instance, redact=Joined().redact(instance), asking=asking, ports=rollout_ports()
    )
    made = Bank(instance=instance, clock=clock, asking=asking, console=Console(services))
    made.publish("policies")
    made.publish("policies-uat")
    made.release = made.seal().digest
    assert isinstance(sequence_now(instance), int)
    return made
