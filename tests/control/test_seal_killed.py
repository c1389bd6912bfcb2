"""`kill -9` while releases are sealed and questions answered: nothing lost, nothing doubled, nothing half-written."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.app import Joined
from pilotage.cli.runtime import Question
from pilotage.cli.workspace import write_template
from pilotage.control.instance import Instance
from pilotage.control.ledger_checkpoint import write_checkpoint
from pilotage.control.ledger_fsck import fsck_ledger
from pilotage.control.ledger_verify import verify_ledger
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_corpus import refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.control.verify_release import verify_release
from pilotage.core.ids import CorpusName, PersonId, WorkflowName
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.ledger.verify import Verdict, Verification
from pilotage.store.doctor import doctor
from pilotage.testing.kills import READY, Say, kill_after
from pilotage.workspace.principals import local_principal

pytestmark = pytest.mark.store
ASSISTANT = WorkflowName("assistant")
QUESTION = "Within how many days is a disputed card payment credited provisionally?"


@dataclass(frozen=True, slots=True)
class Place:
    """A small workspace on the module's database, opened anew by every process."""

    folder: Path
    url: str

    @contextmanager
    def opened(self) -> Iterator[Instance]:
        environ = {"DATABASE_URL": self.url, "PILOTAGE_HOME": str(self.folder / "home")}
        with open_instance(Opening(start=self.folder / "bank", environ=environ)) as instance:
            yield instance


def person(instance: Instance, name: str) -> Principal:
    return local_principal(instance.workspace, PersonId(name))


@pytest.fixture
def place(open_folder: Path, database_url: str) -> Place:
    made = Place(folder=open_folder / "seal-killed", url=database_url)
    write_template("minimal", made.folder / "bank")
    with made.opened() as instance:
        refresh_corpus(
            instance,
            actor=person(instance, "ben"),
            corpus=CorpusName("handbook"),
            source=None,
            accept=True,
            tools=RefreshTools(),
        )
        assert isinstance(seal(instance, "Edition 0."), Sealed)
    return made


def seal(instance: Instance, edition: str) -> Sealed | Refusal:
    """Seal the workflow as if its prompt had been edited."""
    declared = instance.workspace.workflows[ASSISTANT]
    sources = replace(declared.sources, prompt=declared.sources.prompt + f"\n{edition}\n".encode())
    workspace = replace(instance.workspace, workflows={ASSISTANT: replace(declared, sources=sources)})
    return seal_release(replace(instance, workspace=workspace), actor=person(instance, "ada"), workflow=ASSISTANT)


def sealing(place: Place, number: int) -> Callable[[Say], None]:
    """Return the body of a process that seals one edition after the other and says the digest of each."""

    def body(say: Say) -> None:
        with place.opened() as instance:
            say(READY)
            for turn in itertools.count():
                done = seal(instance, f"Edition {number}.{turn}.")
                assert isinstance(done, Sealed)
                say(done.digest)

    return body


def asking(place: Place) -> Callable[[Say], None]:
    """Return the body of a process that asks as `pilotage ask` does and says each interaction it was answered in."""

    def body(say: Say) -> None:
        with place.opened() as instance:
            say(READY)
            while True:
                question = Question(workflow=ASSISTANT, text=QUESTION)
                say(Joined().ask(instance, person(instance, "ada"), question)["interaction"])

    return body


def rows(instance: Instance, query: str) -> list[tuple[Any, ...]]:
    with instance.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def check_releases(instance: Instance, said: set[str]) -> None:
    """Every release is whole, has one entry, stands in one line, and the newest serves."""
    found = dict(rows(instance, "SELECT digest, parent FROM release"))
    entered = [subject for (subject,) in rows(instance, "SELECT subject FROM ledger_entry WHERE kind='release.sealed'")]
    assert sorted(entered) == sorted(found)
    assert said <= set(found)
    heads = set(found) - set(found.values())
    assert len(heads) == 1, "two releases follow the same one"
    assert len(set(found.values())) == len(found), "two releases follow the same one"
    assert rows(instance, "SELECT stable FROM routing") == [(head,) for head in heads]
    assert sorted(release for (release,) in rows(instance, "SELECT release FROM deployment")) == sorted(found)


def check_answers(instance: Instance, said: set[str]) -> None:
    """Every answer that was given is recorded once, with one entry."""
    recorded = [name for (name,) in rows(instance, "SELECT id FROM interaction")]
    entered = [
        subject for (subject,) in rows(instance, "SELECT subject FROM ledger_entry WHERE kind LIKE 'interaction.%'")
    ]
    assert sorted(entered) == sorted(recorded)
    assert said <= set(recorded)


def check_all(instance: Instance) -> None:
    """What a person would run after a crash finds nothing."""
    assert not isinstance(write_checkpoint(instance), Refusal)
    verified = verify_ledger(instance)
    assert isinstance(verified, Verification)
    assert verified.verdict is Verdict.VERIFIED
    assert fsck_ledger(instance).findings == ()
    for (digest,) in rows(instance, "SELECT digest FROM release"):
        assert verify_release(instance, digest).is_verified
    with instance.engine.connect() as connection:
        now = instance.clock.now()
        report = doctor(connection, now=now, wall_clock=now, schema=("same", "same"), embedded_home=None, declared={})
    found = [reason for reason in report.findings if report.server.checksums or reason.code != "checksums_off"]
    assert not found, found


def storm(place: Place, *, kills: int) -> None:
    """Kill a process that seals and one that asks, in turn."""
    dice = random.Random(kills)
    sealed: set[str] = set()
    answered: set[str] = set()
    for number in range(1, kills + 1):
        if number % 2:
            sealed.update(kill_after(dice.uniform(0, 0.8), sealing(place, number)))
        else:
            answered.update(kill_after(dice.uniform(0, 1.2), asking(place)))
        with place.opened() as instance:
            check_releases(instance, sealed)
            check_answers(instance, answered)
    with place.opened() as instance:
        assert isinstance(seal(instance, "The last edition."), Sealed)
        question = Question(workflow=ASSISTANT, text=QUESTION)
        answer = Joined().ask(instance, person(instance, "ada"), question)
        assert "ten business days" in answer["answer"]
        assert answer["interaction"] not in answered
        check_releases(instance, sealed)
        check_answers(instance, answered | {answer["interaction"]})
        check_all(instance)


def test_sealing_and_asking_killed_at_random_moments_lose_and_double_nothing(place: Place) -> None:
    storm(place, kills=6)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_long_storm_over_sealing_and_asking_loses_and_doubles_nothing(place: Place) -> None:
    storm(place, kills=200)
