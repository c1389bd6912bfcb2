"""Records as PostgreSQL keeps them: written, found, closed, rated, explained."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from pilotage.console.asking import PipelineAsking
from pilotage.control.close_interactions import close_lost_interactions
from pilotage.control.explain_interaction import explain_interaction
from pilotage.control.give_feedback import Rating, give_feedback
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import new_ulid
from pilotage.guard.policy import CacheMode, GuardPolicy, StreamMode
from pilotage.identity.roles import Role
from pilotage.identity.service_key import KeyKind, ServiceKey, secret_hash
from pilotage.ledger.entry import encode_entry
from pilotage.ledger.kinds import EntryKind
from pilotage.serving.context import Answer
from pilotage.serving.ending import end
from pilotage.serving.recorder import Recorder
from pilotage.serving.refusal import Code, Refusal
from pilotage.space.settings import RecordMode
from pilotage.store.engine import psycopg_url
from pilotage.store.ledger_entries import entries_of
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.service_keys import add_key, set_revoked
from pilotage.store.serving_idempotency import IdempotencyStore, Owner
from pilotage.store.serving_keys import PooledKeys
from pilotage.store.serving_pool import PooledPseudonyms, make_pool
from pilotage.store.serving_records import RecordRows, RecordWriter
from pilotage.store.serving_routes import RouteReader
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.desk import opened
from pilotage.testing.serving import SECRET
from pilotage.testing.serving_path import Plan, content, person, space

pytestmark = [pytest.mark.anyio, pytest.mark.store]
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def conninfo(database_url: str) -> str:
    return psycopg_url(database_url)


@pytest.fixture
def instance(engine: Engine) -> Iterator[Any]:
    limits = SimpleNamespace(stream_s=600.0)
    gateway = SimpleNamespace(limits=limits)
    workspace = SimpleNamespace(gateway=gateway, gates={}, acls_confirmed_since=lambda _corpus, _now: None)
    yield SimpleNamespace(engine=engine, clock=SimulatedClock(NOW + timedelta(hours=1)), workspace=workspace)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM interaction_closing"))
        connection.execute(text("DELETE FROM interaction"))


def recorder_on(conninfo: str, **more: Any) -> Recorder:
    return Recorder(lambda: RecordWriter.connect(conninfo), **more)


async def ask(
    conninfo: str, engine: Engine, *, mode: RecordMode = RecordMode.ASYNC, question: str = "Errors?"
) -> Answer:
    plan = Plan(recorder=recorder_on(conninfo, flush_s=0.01), spaces=[space(mode=mode)])
    async with opened(plan) as desk:
        with engine.begin() as connection:
            desk.path.serving.pseudonyms.given["local|maria"] = pseudonym_of(connection, "local|maria")  # type: ignore[attr-defined]
        return await desk.answer(question)


@pytest.mark.parametrize("mode", list(RecordMode))
async def test_a_record_is_row_text_citation_and_entry_in_one_transaction(
    conninfo: str, engine: Engine, instance: Any, mode: RecordMode
) -> None:
    answer = await ask(conninfo, engine, mode=mode)
    maria = person("maria", "lending")
    explained = explain_interaction(instance, actor=maria, interaction=answer.interaction)
    assert explained.answer == "Ten business days [1]."
    assert explained.outcome == "ok"
    assert explained.allowed == {}
    assert [(item.rank, item.marker) for item in explained.passages] == [(1, 1)]
    [proof] = explained.proof
    assert proof.opens == {"question": True, "answer": True}
    assert proof.seq is None
    auditor = person("audrey")
    auditor = type(auditor)(
        id=auditor.id, kind=auditor.kind, roles=frozenset({Role.AUDITOR}), label="audrey", via="local"
    )
    seen = explain_interaction(instance, actor=auditor, interaction=answer.interaction)
    assert seen.allowed["allowed_count"] == 1
    for stranger, name in ((person("omar"), answer.interaction), (maria, new_ulid(NOW)), (maria, "x")):
        with pytest.raises(NotFound):
            explain_interaction(instance, actor=stranger, interaction=name)


async def test_an_answer_given_again_explains_itself_as_one(conninfo: str, engine: Engine, instance: Any) -> None:
    shared = GuardPolicy(version=1, stream=StreamMode.BUFFER, checks=(), cache=CacheMode.SHARED)
    plan = Plan(recorder=recorder_on(conninfo, flush_s=0.01), content=content(guard=shared))
    async with opened(plan) as desk:
        with engine.begin() as connection:
            desk.path.serving.pseudonyms.given["local|maria"] = pseudonym_of(connection, "local|maria")  # type: ignore[attr-defined]
        answers = [await desk.answer("Errors?") for _ in range(2)]
    maria = person("maria", "lending")
    made, given = (explain_interaction(instance, actor=maria, interaction=one.interaction) for one in answers)
    assert (made.release["cached"], given.release["cached"]) == (False, True)
    assert given.release["usage"] == {"prompt_tokens": 0, "completion_tokens": 0}
    assert (given.answer, given.passages) == (made.answer, made.passages)
    assert [proof.opens for proof in given.proof] == [{"question": True, "answer": True}]


async def test_a_changed_text_no_longer_opens_its_commitment(conninfo: str, engine: Engine, instance: Any) -> None:
    answer = await ask(conninfo, engine)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE interaction_text SET answer = 'Twenty days.' WHERE id = :id"), {"id": answer.interaction}
        )
    [proof] = explain_interaction(instance, actor=person("maria"), interaction=answer.interaction).proof
    assert proof.opens == {"question": True, "answer": False}


async def test_planted_personal_data_is_in_no_table(conninfo: str, engine: Engine, instance: Any) -> None:
    del instance
    await ask(conninfo, engine, question="My number is 123-45-6789, errors?")
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        for table in tables:
            rows = connection.execute(text(f'SELECT t::text FROM "{table}" t')).scalars().all()
            assert not [row for row in rows if "123-45-6789" in row], table


@pytest.mark.feature("R3.5")
async def test_the_asker_may_rate_an_answer_and_nobody_else(conninfo: str, engine: Engine, instance: Any) -> None:
    answer = await ask(conninfo, engine)

    def redact(value: str) -> str:
        return SECRET.sub("<US_SSN>", value)

    given = give_feedback(
        instance,
        actor=person("maria"),
        interaction=answer.interaction,
        rating=Rating.DOWN,
        redact=redact,
        comment="wrong for 123-45-6789",
    )
    assert given.comment == "wrong for <US_SSN>"
    with engine.connect() as connection:
        [entry] = entries_of(connection, given.id)
    assert entry.kind == "feedback.recorded"
    assert b"wrong" not in entry.bytes
    with pytest.raises(NotFound):
        give_feedback(instance, actor=person("omar"), interaction=answer.interaction, rating=Rating.UP, redact=redact)
    with pytest.raises(UsageError, match="4001"):
        give_feedback(
            instance,
            actor=person("maria"),
            interaction=answer.interaction,
            rating=Rating.UP,
            redact=redact,
            comment="x" * 4001,
        )


async def test_what_a_crash_left_open_is_closed_as_unknown_once(conninfo: str, engine: Engine, instance: Any) -> None:
    answer = await ask(conninfo, engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE interaction SET state = 'open' WHERE id = :id"), {"id": answer.interaction})
    assert close_lost_interactions(instance) == 1
    assert close_lost_interactions(instance) == 0
    explained = explain_interaction(instance, actor=person("maria"), interaction=answer.interaction)
    assert (explained.state, explained.outcome) == ("delivery_unknown", "lost")
    assert [proof.kind for proof in explained.proof] == ["interaction.recorded", "interaction.closed"]


async def test_a_broken_connection_loses_no_accepted_record(conninfo: str, engine: Engine, instance: Any) -> None:
    del instance
    plan = Plan(recorder=recorder_on(conninfo, flush_s=0.01))
    async with opened(plan) as desk:
        for index in range(40):
            await desk.answer()
            if index % 10 == 5:
                with engine.begin() as connection:
                    connection.execute(
                        text(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE application_name = 'pilotage-recorder' AND datname = current_database()"
                        )
                    )
            await asyncio.sleep(0.002)
        assert await desk.path.serving.recorder.stop() == 0
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM interaction")).scalar_one() == 40


async def test_a_record_the_store_can_never_take_does_not_hold_others_back(
    conninfo: str, engine: Engine, instance: Any
) -> None:
    del instance
    plan = Plan(recorder=recorder_on(conninfo, flush_s=0.05), spaces=[space(mode=RecordMode.FAIL_CLOSED)])
    async with opened(plan) as desk:
        results = await asyncio.gather(desk.ask("Errors? \x00"), desk.ask(), desk.ask())
        assert desk.path.serving.recorder.unwritable == 1
    kinds = [type(finished.result) for finished in results]
    assert kinds == [Refusal, Answer, Answer]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM interaction")).scalar_one() == 2


async def test_a_page_may_offer_links_to_an_answer_that_was_just_given(
    conninfo: str, engine: Engine, instance: Any
) -> None:
    plan = Plan(recorder=recorder_on(conninfo, flush_s=60), spaces=[space(mode=RecordMode.ASYNC)])
    async with opened(plan) as desk:
        maria = person("maria", "lending")
        with engine.begin() as connection:
            desk.path.serving.pseudonyms.given[maria.id] = pseudonym_of(connection, maria.id)  # type: ignore[attr-defined]
        asking = PipelineAsking(serving=desk.path.serving, pipeline=desk.pipeline)
        asked = desk.received("Errors?").asked
        finished = await asking.ask(asked, principal=maria, peer=desk.received("Errors?").peer)
        name = finished.context.interaction
        assert explain_interaction(instance, actor=maria, interaction=name).answer == "Ten business days [1]."


async def test_nobody_waits_long_for_a_record_that_cannot_be_written() -> None:
    async def hang() -> RecordWriter:
        await asyncio.sleep(60)
        raise AssertionError

    recorder = Recorder(hang)
    assert await recorder.settle(0.01)
    await recorder.start()
    entry = encode_entry(
        id=new_ulid(NOW), kind=EntryKind.INCIDENT_OPENED, at=NOW, actor="system:gateway", subject="nobody"
    )
    recorder.offer(RecordRows(entry=entry))
    assert [await recorder.settle(0.02), await recorder.settle(0.02)] == [False, False]
    assert recorder.waiting == 1
    assert recorder._task is not None
    await end(recorder._task)


KILLED = """
import asyncio, sys
from pilotage.guard.policy import StreamMode
from pilotage.serving.recorder import Recorder
from pilotage.space.settings import RecordMode
from pilotage.store.serving_records import RecordRows, RecordWriter
from pilotage.testing.desk import opened
from pilotage.testing.serving_path import Plan, content, space

class Sink:
    # Says the interaction as soon as the first byte of its answer has left.
    is_slow = False

    def __init__(self, interaction):
        self.unsaid = [interaction]

    async def begin(self, release):
        pass

    async def send(self, text):
        if text and self.unsaid:
            print(self.unsaid.pop(), flush=True)

async def main():
    conninfo, mode, stream = sys.argv[1], RecordMode(sys.argv[2]), sys.argv[3] == "stream"
    plan = Plan(
        recorder=Recorder(lambda: RecordWriter.connect(conninfo)),
        spaces=[space(mode=mode)],
        content=content(stream=StreamMode.TOKEN),
    )
    async with opened(plan) as desk:
        while True:
            if stream:
                received = desk.received("When are errors resolved?", stream=True)
                await desk.pipeline.answer(received, Sink(received.interaction))
            else:
                answer = await desk.answer()
                print(answer.interaction, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("form", ["whole", "stream"])
@pytest.mark.parametrize("mode", list(RecordMode))
def test_a_killed_process_leaves_no_answer_without_record_beyond_its_mode(
    conninfo: str, engine: Engine, instance: Any, mode: RecordMode, form: str
) -> None:
    """Of a stream an answer counts from its first byte: `fail_closed` has its opening record by then."""
    del instance
    path = os.pathsep.join([*sys.path, str(Path(__file__).resolve().parents[2] / "src")])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, conninfo, mode.value, form],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        delivered = [process.stdout.readline().strip() for _ in range(150)]
        process.send_signal(signal.SIGKILL)
        delivered += process.stdout.read().split()
    with engine.connect() as connection:
        recorded = set(connection.execute(text("SELECT id FROM interaction")).scalars())
        entries = set(
            connection.execute(text("SELECT subject FROM ledger_entry WHERE kind LIKE 'interaction.%'")).scalars()
        )
    missing = [name for name in delivered if name not in recorded]
    assert recorded <= entries
    if mode is RecordMode.FAIL_CLOSED:
        assert missing == []
    else:
        assert missing == delivered[len(delivered) - len(missing) :], "only the end can be missing"
        assert len(missing) <= 256


async def test_pseudonyms_agree_and_keys_forget_a_revocation_within_a_second(conninfo: str, engine: Engine) -> None:
    now = 0.0
    key = ServiceKey(
        id="0123456789",
        secret_sha256=secret_hash("x" * 43),
        kind=KeyKind.SERVICE,
        name="crm",
        owner="maria",  # type: ignore[arg-type]
        scopes=("ask",),
        created_by="p",
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    with engine.begin() as connection:
        add_key(connection, key)
    async with make_pool(conninfo, size=2) as pool:
        one, two = PooledPseudonyms(pool), PooledPseudonyms(pool)
        names = await asyncio.gather(*(source.pseudonym_of("local|zoë") for source in (one, two, one, two)))
        assert len(set(names)) == 1
        keys = PooledKeys(pool, monotonic=lambda: now)
        assert await keys.find("0123456789") == key
        assert await keys.find("unknown000") is None
        with engine.begin() as connection:
            set_revoked(connection, "0123456789", NOW)
        now = 1.0
        found = await keys.find("0123456789")
        assert found is not None
        assert found.revoked_at == NOW
        assert await RouteReader(pool).read() == ()


async def test_an_idempotency_key_is_claimed_kept_freed_and_taken_over(conninfo: str) -> None:
    owner = Owner(principal="p_1", workflow="w", key="k")
    async with make_pool(conninfo, size=2) as pool:
        store = IdempotencyStore(pool)
        claims = await asyncio.gather(
            *(store.claim(owner, body_hash="a", interaction=f"I{n}", at=NOW) for n in range(2))
        )
        assert sorted(held is None for held in claims) == [False, True]
        await store.finish(owner, answer="body", release="sha256:a")
        held = await store.claim(owner, body_hash="a", interaction="I9", at=NOW)
        assert held is not None
        assert (held.is_done, held.answer, held.release, held.cited) == (True, "body", "sha256:a", ())
        await store.forget_answer(owner)
        assert await store.claim(owner, body_hash="a", interaction="I9", at=NOW) is None
        assert await store.claim(owner, body_hash="a", interaction="I10", at=NOW + timedelta(seconds=661)) is None
        await store.free(owner, interaction="I10")
        assert await store.claim(owner, body_hash="b", interaction="I11", at=NOW) is None


async def test_a_store_that_is_gone_refuses_and_says_so(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.serving.recorder.COMMIT_WAIT_S", 0.2)
    monkeypatch.setattr("pilotage.serving.recorder._STOP_S", 0.2)
    gone = conninfo.rsplit("/", 1)[0] + "/no_such_database"
    plan = Plan(recorder=recorder_on(gone), spaces=[space(mode=RecordMode.FAIL_CLOSED)])
    async with opened(plan) as desk:
        assert (await desk.refusal()).code is Code.STORE_UNAVAILABLE
        assert desk.path.serving.recorder.failing_since is not None
