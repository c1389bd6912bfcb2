"""Committed entries get gapless numbers from one sequencer at a time; a stale one changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Self

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pilotage.control.ledger_checkpoint import sequence_now, write_checkpoint
from pilotage.core.errors import Conflict, IntegrityError, Unavailable
from pilotage.core.reason import Reason, Refusal
from pilotage.jobs.sequencer import Sequencer
from pilotage.ledger import tiles
from pilotage.ledger.commitment import Disclosure
from pilotage.ledger.entry import EncodedEntry, EntryKind
from pilotage.ledger.tree import leaf_hash, root_of
from pilotage.store.ledger_checkpoints import count_checkpoints, every_checkpoint
from pilotage.store.ledger_entries import (
    append,
    append_many,
    disclosures_of_entry,
    entries_of,
    entry_by_id,
    forget_disclosures,
)
from pilotage.store.ledger_sequencing import (
    database_now,
    give_up_leadership,
    number_all,
    number_batch,
    read_head,
    take_leadership,
    tile_reader,
    waiting,
)
from pilotage.store.pseudonyms import forget_principal, principal_of, pseudonym_of
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.ledger import LedgerHome

pytestmark = pytest.mark.store
EntryOf = Callable[..., EncodedEntry]


def add(ledger: LedgerHome, entry_of: EntryOf, *numbers: int) -> list[EncodedEntry]:
    entries = [entry_of(number) for number in numbers]
    with ledger.engine.begin() as connection:
        append_many(connection, entries)
    return entries


def numbered(ledger: LedgerHome) -> list[tuple[int, bytes]]:
    rows = text("SELECT seq, bytes FROM ledger_entry WHERE seq IS NOT NULL ORDER BY seq")
    with ledger.engine.connect() as connection:
        return [(row.seq, row.bytes) for row in connection.execute(rows)]


def test_numbers_have_no_gap_and_the_tiles_hold_the_tree(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, *range(700))
    assert number_all(ledger.engine) == 700
    add(ledger, entry_of, *range(700, 1_800))
    assert number_all(ledger.engine) == 1_800
    rows = numbered(ledger)
    assert [seq for seq, _ in rows] == list(range(1_800))
    with ledger.engine.connect() as connection:
        assert tiles.root(tile_reader(connection), 1_800) == root_of([leaf_hash(data) for _, data in rows])
        assert read_head(connection).size == 1_800


def test_what_one_transaction_wrote_in_one_millisecond_keeps_its_order(ledger: LedgerHome, entry_of: EntryOf) -> None:
    written = add(ledger, entry_of, *range(60))
    assert [entry.id for entry in written] != sorted(entry.id for entry in written)
    number_all(ledger.engine)
    assert [data for _, data in numbered(ledger)] == [entry.bytes for entry in written]


def test_a_leader_whose_session_died_gives_up_quietly_and_another_takes_over(ledger: LedgerHome) -> None:
    with ledger.engine.connect() as leading, ledger.engine.connect() as other:
        assert take_leadership(leading) is not None
        process = leading.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
        other.commit()
        give_up_leadership(leading)
        assert take_leadership(other) is not None
        give_up_leadership(other)


def test_a_rolled_back_entry_leaves_no_gap(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    with ledger.engine.connect() as connection:
        append(connection, entry_of(2))
        connection.rollback()
    add(ledger, entry_of, 3)
    assert number_all(ledger.engine) == 2


def test_an_uncommitted_entry_is_numbered_after_its_commit(ledger: LedgerHome, entry_of: EntryOf) -> None:
    with ledger.engine.connect() as slow:
        append(slow, entry_of(1))
        add(ledger, entry_of, 2)
        assert number_all(ledger.engine) == 1
        slow.commit()
    assert number_all(ledger.engine) == 2
    with ledger.engine.connect() as connection:
        stored = entry_by_id(connection, entry_of(1).id)
    assert stored is not None
    assert stored.seq == 1


def test_a_fenced_sequencer_writes_nothing(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    with ledger.engine.connect() as stale, ledger.engine.connect() as fresh:
        generation = take_leadership(stale)
        assert generation is not None
        assert take_leadership(fresh) is None
        give_up_leadership(stale)
        newer = take_leadership(fresh)
        assert newer == generation + 1
        with pytest.raises(Conflict, match="replaced by generation"):
            number_batch(stale, generation)
        assert numbered(ledger) == []
        assert number_batch(fresh, newer).numbered == 1
        give_up_leadership(fresh)


def test_numbering_waits_for_another_sequencer_and_then_says_so(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    with ledger.engine.connect() as other:
        assert take_leadership(other) is not None
        with pytest.raises(Unavailable, match="1 ledger entries wait"):
            number_all(ledger.engine, wait_s=0.0)
        give_up_leadership(other)
    assert number_all(ledger.engine) == 1
    with ledger.engine.connect() as other:
        assert take_leadership(other) is not None
        assert number_all(ledger.engine, wait_s=0.0) == 1
        give_up_leadership(other)


def test_a_row_that_cannot_take_its_number_keeps_the_whole_batch_back(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1, 2)
    with ledger.engine.begin() as connection:
        connection.execute(text("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_append_only"))
        connection.execute(
            text(
                "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN IF OLD.subject = 'thing-2' THEN RETURN NULL; END IF; RETURN NEW; END$$"
            )
        )
        connection.execute(
            text("CREATE TRIGGER skip BEFORE UPDATE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION skip()")
        )
    with pytest.raises(IntegrityError, match="1 of 2"):
        number_all(ledger.engine)
    assert numbered(ledger) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entry SET bytes = 'x'",
        "UPDATE ledger_entry SET seq = 5",
        "UPDATE ledger_entry SET seq = NULL",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry",
    ],
)
def test_the_database_refuses_to_change_a_numbered_entry(ledger: LedgerHome, entry_of: EntryOf, change: str) -> None:
    add(ledger, entry_of, 1)
    number_all(ledger.engine)
    with pytest.raises(DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(text(change))


def test_entries_are_found_by_subject_in_ledger_order(ledger: LedgerHome, entry_of: EntryOf) -> None:
    entry = add(ledger, entry_of, 1)[0]
    number_all(ledger.engine)
    with ledger.engine.connect() as connection:
        assert [found.id for found in entries_of(connection, "thing-1")] == [entry.id]
        assert entries_of(connection, "nothing") == ()
        assert entry_by_id(connection, "nothing") is None


def test_a_disclosure_can_be_forgotten_and_the_entry_cannot(ledger: LedgerHome, entry_of: EntryOf) -> None:
    opened = Disclosure(field="comment", salt=bytes(32), value="because")
    with ledger.engine.begin() as connection:
        append(connection, entry_of(1), [opened])
        append_many(connection, [])
        assert disclosures_of_entry(connection, entry_of(1).id) == (opened,)
        assert forget_disclosures(connection, [entry_of(1).id]) == 1
        assert disclosures_of_entry(connection, entry_of(1).id) == ()
        assert entry_by_id(connection, entry_of(1).id) is not None


def test_a_pseudonym_is_stable_until_erased_and_never_derived(ledger: LedgerHome) -> None:
    with ledger.engine.begin() as connection:
        first = pseudonym_of(connection, "local|maria.chen")
        assert pseudonym_of(connection, "local|maria.chen") == first
        assert principal_of(connection, first) == "local|maria.chen"
        assert forget_principal(connection, "local|maria.chen")
        assert not forget_principal(connection, "local|maria.chen")
        assert principal_of(connection, first) is None
        assert pseudonym_of(connection, "local|maria.chen") != first
        assert len(first) == 28


class Running:
    """A sequencer in a thread, for one block."""

    def __init__(self, ledger: LedgerHome) -> None:
        self.alerts: list[Reason] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=Sequencer(ledger, alert=self.alerts.append).run, args=(self._stop,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(300):
        if holds():
            return
        waiter.wait(0.05)
    raise AssertionError("it did not happen within 15 s")


def test_the_sequencer_numbers_signs_decisions_at_once_and_the_rest_each_minute(
    ledger: LedgerHome, entry_of: EntryOf
) -> None:
    def signed_sizes() -> list[int]:
        with ledger.engine.connect() as connection:
            return [row.size for row in every_checkpoint(connection)]

    with Running(ledger) as running:
        until(lambda: signed_sizes() == [0, 1])  # the empty tree, then the entry that names the new key
        add(ledger, entry_of, 1)
        until(lambda: len(numbered(ledger)) == 2)
        ledger.clock.advance(timedelta(seconds=61))
        until(lambda: signed_sizes() == [0, 1, 2])
        with ledger.engine.begin() as connection:
            append(connection, entry_of(2, EntryKind.GATE_SIGNED_OFF))
        until(lambda: signed_sizes() == [0, 1, 2, 3])
    assert running.alerts == []


def test_a_clock_that_was_set_back_leaves_no_tree_unsigned(ledger: LedgerHome, entry_of: EntryOf) -> None:
    class SetBack(SimulatedClock):
        def set_back(self, by: timedelta) -> None:
            self._now -= by

    def signed_sizes() -> list[int]:
        with ledger.engine.connect() as connection:
            return [row.size for row in every_checkpoint(connection)]

    clock = SetBack()
    with Running(replace(ledger, clock=clock)) as running:
        until(lambda: signed_sizes() == [0, 1])
        add(ledger, entry_of, 1)
        until(lambda: len(numbered(ledger)) == 2)
        clock.set_back(timedelta(days=1))
        until(lambda: signed_sizes() == [0, 1, 2])
    assert running.alerts == []


def test_a_standby_takes_over_when_the_leader_s_session_dies(ledger: LedgerHome, entry_of: EntryOf) -> None:
    leader = ledger.engine.connect()
    assert take_leadership(leader) is not None
    add(ledger, entry_of, 1)
    with Running(ledger) as running:
        assert numbered(ledger) == []
        leader.invalidate()
        leader.close()
        until(lambda: len(numbered(ledger)) >= 1)
    assert running.alerts == []


def test_a_frozen_leader_loses_its_lock_within_five_seconds(ledger: LedgerHome, entry_of: EntryOf) -> None:
    with ledger.engine.connect() as frozen:
        assert take_leadership(frozen) is not None
        add(ledger, entry_of, 1)
        until(lambda: take_over(ledger))
        frozen.invalidate()


def take_over(ledger: LedgerHome) -> bool:
    with ledger.engine.connect() as connection:
        if take_leadership(connection) is None:
            return False
        give_up_leadership(connection)
        return True


def test_a_lost_key_is_an_alert_and_numbering_goes_on(ledger: LedgerHome, entry_of: EntryOf) -> None:
    assert not isinstance(write_checkpoint(ledger), Refusal)
    (ledger.home / "keys" / "ledger.json").rename(ledger.home / "elsewhere")
    with Running(ledger) as running:
        add(ledger, entry_of, 1)
        until(lambda: len(numbered(ledger)) == 2 and bool(running.alerts))
    assert [alert.code for alert in running.alerts] == ["LEDGER_CHECKPOINT"]
    assert "Two ways out" in running.alerts[0].text


def test_a_restored_database_is_an_alert_and_numbering_stops(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    assert not isinstance(write_checkpoint(ledger), Refusal)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET size = 1"))
    with Running(ledger) as running:
        until(lambda: bool(running.alerts))
    assert running.alerts[0].code == "LEDGER_RESTORE_DETECTED"
    assert isinstance(sequence_now(ledger), Refusal)


def test_a_damaged_tile_is_an_alert_not_the_end_of_the_loop(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    number_all(ledger.engine)
    with ledger.engine.begin() as connection:
        tile = connection.execute(text("DELETE FROM ledger_tile RETURNING hashes")).scalar_one()
    add(ledger, entry_of, 2)
    with Running(ledger) as running:
        until(lambda: bool(running.alerts))
        with ledger.engine.begin() as connection:
            connection.execute(text("INSERT INTO ledger_tile VALUES (0, 0, :tile)"), {"tile": tile})
        until(lambda: len(numbered(ledger)) >= 2)
    assert running.alerts[0].code in {"LEDGER_SEQUENCER", "LEDGER_CHECKPOINT"}


def test_entries_that_wait_too_long_are_an_alert_of_every_standby(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    with ledger.engine.begin() as connection:
        connection.execute(text("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_append_only"))
        connection.execute(text("UPDATE ledger_entry SET inserted_at = inserted_at - interval '20 s'"))
        connection.execute(text("ALTER TABLE ledger_entry ENABLE TRIGGER ledger_entry_append_only"))
    with ledger.engine.connect() as leader:
        assert take_leadership(leader) is not None
        with Running(ledger) as running:
            until(lambda: bool(running.alerts))
        leader.rollback()
        rest = waiting(leader, before=database_now(leader))
        leader.commit()
        give_up_leadership(leader)
    assert running.alerts[0].code == "LEDGER_MERGE_DELAY"
    assert rest.entries == 1
    assert rest.oldest > timedelta(seconds=10)


def test_an_unchanged_tree_is_not_signed_twice(ledger: LedgerHome) -> None:
    first, second = write_checkpoint(ledger), write_checkpoint(ledger)
    assert not isinstance(first, Refusal)
    assert not isinstance(second, Refusal)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.note == second.note
    assert first.as_json()["root"] == f"sha256:{first.note.checkpoint.root.hex()}"
    with ledger.engine.connect() as connection:
        assert count_checkpoints(connection) == 1
