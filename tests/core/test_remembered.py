"""A remembered function is asked once per record, and a record loaded anew is another one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pilotage.core import remembered as module
from pilotage.core.remembered import remembered


@dataclass(frozen=True)
class Record:
    text: str
    unhashable: dict[str, int]


def test_a_record_is_read_once_and_an_equal_one_again() -> None:
    asked: list[Record] = []

    @remembered
    def length(record: Record, more: Record) -> int:
        asked.append(record)
        return len(record.text + more.text)

    one, same, more = Record("abc", {}), Record("abc", {}), Record("d", {})
    assert [length(one, more), length(one, more), length(same, more), length(one, same)] == [4, 4, 4, 6]
    assert [record is one for record in asked] == [True, False, True]


def test_what_failed_is_asked_again() -> None:
    answers = iter([ValueError("not yet"), 7])

    @remembered
    def once(_record: Record) -> int:
        match next(answers):
            case ValueError() as error:
                raise error
            case found:
                assert isinstance(found, int)
                return found

    record = Record("a", {})
    with pytest.raises(ValueError, match="not yet"):
        once(record)
    assert once(record) == 7


def test_the_memory_is_bounded_and_an_identity_is_never_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)

    @remembered
    def text(record: Record) -> str:
        return record.text

    for number in range(100):  # records that are gone at once, so that their addresses come back
        assert text(Record(str(number), {})) == str(number)
