"""One contract for every source, and what a hostile folder or file may try."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotage.adapters.connectors.folder import FolderConnector
from pilotage.adapters.connectors.jsonl import JsonlConnector
from pilotage.control.corpus_source import open_path
from pilotage.core.ids import CorpusName
from pilotage.corpus.connector import Connector, ItemUnreadable, ListingFailed
from pilotage.corpus.records import Rejected, SourceItem
from pilotage.corpus.settings import AclRule
from pilotage.testing.connectors import MemoryConnector, MemoryDocument


def folder(tmp_path: Path) -> Connector:
    (tmp_path / "a.md").write_bytes(b"alpha")
    (tmp_path / "b.txt").write_bytes(b"beta")
    return FolderConnector(tmp_path, fields={})


def jsonl(tmp_path: Path) -> Connector:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id":"a.md","text":"alpha"}\n{"id":"b.txt","text":"beta"}\n')
    return JsonlConnector(path, fields={})


def memory(_tmp_path: Path) -> Connector:
    documents = {"a.md": MemoryDocument(data=b"alpha"), "b.txt": MemoryDocument(data=b"beta", suffix=".txt")}
    return MemoryConnector(documents=documents)


@pytest.mark.parametrize("make", [folder, jsonl, memory])
class TestEveryConnector:
    def test_lists_each_item_once_with_a_stable_etag(self, make: Callable[[Path], Connector], tmp_path: Path) -> None:
        connector = make(tmp_path)
        first, second = list(connector.list()), list(connector.list())
        assert first == second
        assert [one.id for one in first] == ["a.md", "b.txt"]
        assert all(isinstance(one, SourceItem) and one.etag for one in first)

    def test_fetches_what_it_listed(self, make: Callable[[Path], Connector], tmp_path: Path) -> None:
        connector = make(tmp_path)
        for item in connector.list():
            assert isinstance(item, SourceItem)
            content = connector.fetch(item)
            assert (content.data or str(content.row).encode()).find(b"alpha" if item.id == "a.md" else b"beta") >= 0

    def test_refuses_an_item_it_does_not_have(self, make: Callable[[Path], Connector], tmp_path: Path) -> None:
        with pytest.raises(ItemUnreadable):
            make(tmp_path).fetch(SourceItem(id="nope.md", etag="x", path="nope.md"))

    def test_gives_no_acl_and_no_access_it_does_not_know(
        self, make: Callable[[Path], Connector], tmp_path: Path
    ) -> None:
        connector = make(tmp_path)
        items = [item for item in connector.list() if isinstance(item, SourceItem)]
        assert connector.acl(items) == {}
        assert not any(connector.check_access(frozenset({"group:everyone"}), ["a.md", "nope"]).values())
        assert connector.name


def reasons(connector: Connector) -> dict[str, str]:
    return {one.id: one.reason for one in connector.list() if isinstance(one, Rejected)}


def test_links_and_special_files_are_refused_and_dot_files_are_not_documents(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "link.md").symlink_to(outside / "secret.md")
    (root / "linked").symlink_to(outside)
    os.mkfifo(root / "pipe.md")
    (root / ".hidden.md").write_text("x")
    (root / "acl.yaml").write_text("x")
    (root / "acl.yml").write_text("x")
    (root / "sub" / "acl.yaml").write_text("x")
    connector = FolderConnector(root, fields={})
    assert reasons(connector) == {
        "link.md": "is a symbolic link, which is not followed",
        "linked": "is a symbolic link, which is not followed",
        "pipe.md": "is no regular file",
        "acl.yml": "holds rules that nobody reads: write them into acl.yaml of documents/",
        "sub/acl.yaml": "holds rules that nobody reads: write them into acl.yaml of documents/",
    }
    assert not [one for one in connector.list() if isinstance(one, SourceItem)]


def test_a_file_swapped_for_a_link_after_the_listing_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.md").write_text("fine")
    connector = FolderConnector(root, fields={})
    (item,) = connector.list()
    (root / "a.md").unlink()
    (root / "a.md").symlink_to(tmp_path / "secret")
    assert isinstance(item, SourceItem)
    with pytest.raises(ItemUnreadable, match="cannot be read"):
        connector.fetch(item)


def test_a_folder_swapped_for_a_link_after_the_listing_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.md").write_text("secret")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.md").write_text("fine")
    connector = FolderConnector(root, fields={})
    (item,) = connector.list()
    assert isinstance(item, SourceItem)
    assert connector.fetch(item).data == b"fine"
    (root / "sub").rename(tmp_path / "away")
    (root / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(ItemUnreadable, match="cannot be read"):
        connector.fetch(item)


def test_an_unknown_name_in_one_of_two_acls_means_nobody(
    bank: Any, make_settings: Any, fresh_name: Any, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"id": "c", "text": "old", "expiry_date": "2026-01-01", "acl": ["group:x", 5]},
        {"id": "c", "text": "new", "effective_date": "2026-01-01", "acl": ["group:x"]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    name = bank.declare(make_settings(fresh_name()))
    assert bank.refresh(name, path).findings["nobody_readable"] == 2
    with bank.instance.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id, acl FROM document WHERE corpus = %s ORDER BY id", (name,))
        assert [tuple(row) for row in found] == [("c", [])]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("apart", [True, False])
def test_a_row_without_acl_is_never_widened_by_another_of_its_id(
    bank: Any, make_settings: Any, fresh_name: Any, tmp_path: Path, order: int, apart: bool
) -> None:
    dates = ({"expiry_date": "2026-01-01"}, {"effective_date": "2026-01-01"}) if apart else ({}, {})
    rows = [
        {"id": "c", "text": "ruled", **dates[0]},
        {"id": "c", "text": "open", "acl": ["group:everyone", "group:hr"], **dates[1]},
        {"id": "d", "text": "of the rules"},
        {"id": "e", "text": "of nobody", "acl": None},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows[::order]))
    name = bank.declare(make_settings(fresh_name(), acl=("group:hr", "group:legal")))
    result = bank.refresh(name, path)
    assert [one.id for one in result.rejected] == ([] if apart else ["c"])
    with bank.instance.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id, acl FROM document WHERE corpus = %s ORDER BY id", (name,))
        assert [tuple(row) for row in found] == [("c", ["group:hr"]), ("d", ["group:hr", "group:legal"]), ("e", [])]


def test_names_are_nfc_and_undecodable_ones_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301.md").write_text("x")
    (tmp_path / "bad").mkdir()
    with open(os.fsencode(tmp_path / "bad") + b"/\xff.md", "wb") as file:  # noqa: PTH123 - a name Path cannot spell
        file.write(b"x")
    connector = FolderConnector(tmp_path, fields={})
    items = [one for one in connector.list() if isinstance(one, SourceItem)]
    assert [one.id for one in items] == ["caf\u00e9.md"]
    assert connector.fetch(items[0]).data == b"x"
    assert list(reasons(connector).values()) == ["its file name is not UTF-8"]


def test_a_file_over_64_mib_is_rejected_unread(tmp_path: Path) -> None:
    with (tmp_path / "big.pdf").open("wb") as file:
        file.truncate(65 << 20)
    assert reasons(FolderConnector(tmp_path, fields={})) == {"big.pdf": "is larger than 64 MiB: 68,157,440 bytes"}


def test_a_folder_that_cannot_be_listed_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ListingFailed, match="does not exist"):
        list(FolderConnector(tmp_path / "nope", fields={}).list())
    deep = tmp_path / "deep"
    path = deep
    for _ in range(70):
        path /= "d"
    path.mkdir(parents=True)
    with pytest.raises(ListingFailed, match="folders deep"):
        list(FolderConnector(deep, fields={}).list())


def test_a_row_of_200_mb_is_rejected_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id":"a","text":"first"}\n')
        piece = b"x" * (1 << 20)
        file.write(b'{"id":"big","text":"')
        for _ in range(200):
            file.write(piece)
        file.write(b'"}\n{"id":"c","text":"last"}')
    tracemalloc.start()
    found = list(JsonlConnector(path, fields={}).list())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one.id for one in found] == ["a", "line 2", "c"]
    assert found[1] == Rejected(id="line 2", reason="the row is larger than 16 MiB: 209,715,223 bytes")
    assert peak < 64 << 20


def test_every_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id":"a","text":"x"}\n'
        b'{"id":"b","text":"caf\xe9"}\n'
        b"\n"
        b'{"id":"c"\n'
        b"[1]\n"
        b'{"text":"no id"}\n'
        b'{"id":"\\ud800","text":"x"}\n' + b"[" * 200_000 + b"\n"
    )
    found = reasons(JsonlConnector(path, fields={}))
    assert found["line 2"] == "is not UTF-8: byte 0xe9 at offset 46"
    assert path.read_bytes()[46] == 0xE9
    assert found["line 3"] == "the row is empty"
    assert found["line 4"].startswith("is not JSON")
    assert found["line 5"] == "is not a JSON object"
    assert found["line 6"] == "it has no id"
    assert set(found) == {f"line {n}" for n in range(2, 9)}


def test_packed_rows_are_read_and_a_torn_or_bloated_file_stops_the_run(tmp_path: Path) -> None:
    rows = b"".join(json.dumps({"id": str(n), "text": os.urandom(50).hex()}).encode() + b"\n" for n in range(200))
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(rows))
    assert len(list(JsonlConnector(path, fields={}).list())) == 200
    path.write_bytes(gzip.compress(rows)[:-900])
    with pytest.raises(ListingFailed, match="cannot be read to its end"):
        list(JsonlConnector(path, fields={}).list())
    path.write_bytes(gzip.compress((b'{"id":"a","text":"' + b"x" * 1_000_000 + b'"}\n') * 60))
    with pytest.raises(ListingFailed, match="more than 100 times"):
        list(JsonlConnector(path, fields={}).list())


def test_from_names_a_folder_a_jsonl_file_or_one_document(tmp_path: Path, make_settings: Any) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "b.jsonl").write_text('{"id":"r","text":"x"}')
    settings = make_settings("any")
    assert {one.id for one in open_path(tmp_path, settings).list()} == {"a.md", "r"}
    assert [one.id for one in open_path(tmp_path / "b.jsonl", settings).list()] == ["r"]
    assert [one.id for one in open_path(tmp_path / "a.md", settings).list()] == ["a.md"]
    with pytest.raises(ListingFailed, match="does not exist"):
        open_path(tmp_path / "c.md", settings)


def test_the_second_of_two_equal_ids_is_rejected(
    bank: Any, make_settings: Any, fresh_name: Any, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [
        {"id": "a", "text": "first"},
        {"id": "a", "text": "second"},
        {"id": "b", "text": "old", "expiry_date": "2026-01-01", "acl": ["group:x", "group:y"]},
        {"id": "b", "text": "new", "effective_date": "2026-01-01", "acl": ["group:y", "group:z"]},
        {"id": "c", "text": "x", "effective_date": "2026-02-01", "expiry_date": "2026-01-01"},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    name = bank.declare(make_settings(fresh_name()))
    result = bank.refresh(name, path)
    assert result.added == 2
    assert {one.id: one.reason.split(":")[0] for one in result.rejected} == {
        "a": "duplicate id",
        "c": "its effective date is not before its expiry date",
    }
    with bank.instance.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT acl FROM document WHERE corpus = %s AND id = 'b'", (name,))
        assert found.scalar_one() == ["group:y"]


def test_real_quarterly_reports_have_one_group_of_readers_per_company(
    bank: Any, make_settings: Any, shared_data: Path
) -> None:
    source = shared_data / "demo" / "docugami-sec-10-q"
    rules = tuple(AclRule(glob=f"*{name}.pdf{tail}", names=(f"group:{name.lower()}",))
                  for name in ("AAPL", "MSFT", "AMZN", "INTC", "NVDA") for tail in ("", "/*"))  # fmt: skip
    pages = bank.declare(make_settings("pages", acl=(), acl_rules=rules, fields={"id": "{doc}/{page}", "title": "doc"}))
    result = bank.refresh(pages, source / "pages.jsonl.gz")
    assert result.added + len(result.rejected) == 1037
    assert "nobody_readable" not in result.findings
    files = bank.declare(make_settings("reports", acl=(), acl_rules=rules))
    result = bank.refresh(files, source / "data" / "v1" / "docs")
    assert (result.added, result.rejected) == (8, ())
    with bank.instance.engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT acl, count(*) FROM document WHERE corpus = %s GROUP BY 1 ORDER BY 1", (CorpusName("reports"),)
        )
        assert [(row[0], row[1]) for row in found] == [(["group:aapl"], 4), (["group:msft"], 4)]
