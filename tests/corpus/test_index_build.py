"""The index follows its corpus: a delta for a little, a new base for much, and nothing left of what was purged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pilotage.control.purge_document import purge_document
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.control.take_down import TakedownRequest, take_down
from pilotage.core.errors import Unavailable
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.retrieval.allowed import Visibility
from pilotage.retrieval.snapshot import Snapshot
from pilotage.store.index_build import IndexFolder, index_folder, open_index
from pilotage.store.index_follow import Follower
from pilotage.testing.connectors import MemoryConnector, MemoryDocument
from pilotage.workspace.index import IndexSettings

PARTS = ("generation", "principals", "versions", "classifications", "regions", "live", "spans")


def policies(count: int, **changed: str) -> dict[str, MemoryDocument]:
    return {
        f"p{number:03}.txt": MemoryDocument(
            data=f"Rule {number} of the bank names its limit. {changed.get(f'p{number:03}', '')}".encode(),
            suffix=".txt",
            acl=["group:everyone"],
        )
        for number in range(count)
    }


@pytest.fixture
def corpus(bank: Any, make_settings: Any, fresh_name: Any) -> CorpusName:
    declared: CorpusName = bank.declare(make_settings(fresh_name(), acl=()))
    bank.refresh(declared, MemoryConnector(documents=policies(60)))
    return declared


def _open(bank: Any, corpus: CorpusName, earlier: Snapshot | None = None) -> Snapshot:
    settings = bank.instance.workspace.corpora[corpus]
    return open_index(bank.instance.engine, settings, IndexFolder(root=_root(bank)), earlier=earlier)


def _root(bank: Any) -> Path:
    root: Path = bank.instance.home / "indexes"
    return root


def _bases(bank: Any, corpus: CorpusName) -> list[str]:
    return sorted(path.name for path in (_root(bank) / corpus).glob("base-*"))


def _found(bank: Any, corpus: CorpusName, person: Any, question: str) -> list[str]:
    found = search_corpus(bank.instance, actor=person, corpus=corpus, wanted=Search(question=question))
    return [passage.document for passage in found]


def _same(one: Visibility, other: Visibility) -> bool:
    return all(getattr(one, part) == getattr(other, part) for part in PARTS)


def test_a_second_process_opens_what_the_first_has_built(bank: Any, corpus: CorpusName) -> None:
    first = _open(bank, corpus)
    manifest = _root(bank) / corpus / "base-00000001" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    second = _open(bank, corpus)
    assert (first.segments[0].chunks, second.segments[0].chunks) == (60, 60)
    assert manifest.stat().st_mtime_ns == written


def test_a_small_change_becomes_a_delta_and_a_large_one_a_new_base(
    bank: Any, corpus: CorpusName, make_person: Any
) -> None:
    _open(bank, corpus)
    bank.refresh(corpus, MemoryConnector(documents=policies(60, p001="Marmalade is allowed.")))
    changed = _open(bank, corpus)
    assert [segment.chunks for segment in changed.segments] == [60, 1]
    assert _bases(bank, corpus) == ["base-00000001"]
    assert _found(bank, corpus, make_person("ann"), "marmalade") == ["p001.txt"]
    bank.refresh(corpus, MemoryConnector(documents=policies(90, p001="Marmalade is allowed.")))
    merged = _open(bank, corpus)
    assert [segment.chunks for segment in merged.segments] == [91]
    assert _bases(bank, corpus) == ["base-00000002"]
    assert _found(bank, corpus, make_person("ann"), "marmalade") == ["p001.txt"]


def test_segments_are_kept_when_only_readers_change(bank: Any, corpus: CorpusName) -> None:
    first = _open(bank, corpus)
    shut = policies(60)
    shut["p000.txt"] = replace(shut["p000.txt"], acl=["group:hr"])
    bank.refresh(corpus, MemoryConnector(documents=shut))
    second = _open(bank, corpus, first)
    assert second.segments is first.segments
    assert second.visibility.generation > first.visibility.generation
    assert "group:hr" in second.visibility.principals


def test_following_gives_the_bitmaps_of_a_fresh_read(bank: Any, corpus: CorpusName) -> None:
    first, follower = _open(bank, corpus), Follower(bank.instance.engine, bank.instance.workspace.corpora)
    shut = policies(60)
    for number in range(0, 60, 7):
        shut[f"p{number:03}.txt"] = replace(shut[f"p{number:03}.txt"], acl=["group:hr", "user:ann"][: number % 3])
    bank.refresh(corpus, MemoryConnector(documents=shut))
    followed = follower.follow(corpus, first)
    assert followed.is_complete
    assert _same(followed.snapshot.visibility, _open(bank, corpus).visibility)
    assert follower.follow(corpus, followed.snapshot).snapshot.visibility == followed.snapshot.visibility
    follower.close()


def test_what_changed_is_planned_once_on_a_connection_that_no_pool_gets_back(bank: Any, corpus: CorpusName) -> None:
    engine = bank.instance.engine
    first, follower = _open(bank, corpus), Follower(engine, bank.instance.workspace.corpora)
    for _ in range(8):
        follower.follow(corpus, first)
    assert follower._opened is not None
    plans = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%d.changed > $1%'"
    assert follower._opened[1].execute(plans, prepare=False).fetchall() == [(8, 0)]
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW plan_cache_mode").scalar_one() == "auto"
    assert engine.pool.checkedout() == 0
    follower.close()
    with pytest.raises(psycopg.OperationalError):  # a thread that nobody waits for opens no other connection
        follower.follow(corpus, first)
    assert engine.pool.checkedout() == 0


def test_a_new_version_and_a_takedown_are_followed_and_wait_for_their_segments(bank: Any, corpus: CorpusName) -> None:
    first, follower = _open(bank, corpus), Follower(bank.instance.engine, bank.instance.workspace.corpora)
    bank.refresh(corpus, MemoryConnector(documents=policies(61)))
    assert not follower.follow(corpus, first).is_complete
    second = _open(bank, corpus, first)
    assert follower.follow(corpus, second).is_complete
    _take_down(bank, corpus, "p003.txt")
    followed = follower.follow(corpus, second)
    assert not followed.is_complete
    rev = next(rev for rev, document in second.visibility.documents.items() if document == b"p003.txt")
    assert rev in second.visibility.live
    assert rev not in followed.snapshot.visibility.live
    assert follower.follow(corpus, _open(bank, corpus, second)).is_complete
    follower.close()


def _take_down(bank: Any, corpus: CorpusName, document: str, *, wait: bool = False) -> None:
    request = TakedownRequest(corpus=corpus, document=document, reason="A test says so.", wait=wait)
    result = take_down(bank.instance, actor=bank.steward, request=request)
    assert not isinstance(result, Refusal)


def test_a_purge_rewrites_the_base_and_its_vocabulary(bank: Any, corpus: CorpusName, make_person: Any) -> None:
    bank.refresh(corpus, MemoryConnector(documents=policies(60, p004="The word is quetzalcoatl.")))
    _open(bank, corpus)
    bank.refresh(corpus, MemoryConnector(documents=policies(90, p004="The word is quetzalcoatl.")))
    _open(bank, corpus)
    assert b"quetzalcoatl" in _bytes(_root(bank) / corpus)
    _take_down(bank, corpus, "p004.txt", wait=True)
    assert b"quetzalcoatl" not in _bytes(_root(bank) / corpus)
    assert _found(bank, corpus, make_person("ann"), "quetzalcoatl") == []


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_altered_folder_is_built_again_and_never_served(bank: Any, corpus: CorpusName) -> None:
    first = _open(bank, corpus)
    file = _root(bank) / corpus / "base-00000001" / "post_chunk.npy"
    held = bytearray(file.read_bytes())
    held[-1] ^= 1
    file.unlink()  # the first process keeps its own mapping, as after a disk error on another machine
    file.write_bytes(held)
    second = _open(bank, corpus)
    assert second.segments[0].post_chunk.tolist() == first.segments[0].post_chunk.tolist()
    assert file.read_bytes() != held


def test_an_index_beyond_the_memory_limit_is_refused_with_the_figure(bank: Any, corpus: CorpusName) -> None:
    settings = bank.instance.workspace.corpora[corpus]
    folder = IndexFolder(root=_root(bank), memory_limit=1000)
    with pytest.raises(Unavailable, match="needs about 72,000 bytes for 60 chunks; the limit is 1,000"):
        open_index(bank.instance.engine, settings, folder, earlier=None)


def test_the_declared_memory_limit_is_the_one_that_counts(bank: Any, corpus: CorpusName, make_person: Any) -> None:
    for limit in (71_999, 72_000):
        workspace = replace(bank.instance.workspace, index=IndexSettings(memory_limit=limit))
        assert index_folder(workspace, bank.instance.home) == IndexFolder(root=_root(bank), memory_limit=limit)
        instance = replace(bank.instance, workspace=workspace)
        asked = {"actor": make_person("ann"), "corpus": corpus, "wanted": Search(question="rules")}
        if limit < 72_000:
            with pytest.raises(Unavailable, match="`index: memory_limit`"):
                search_corpus(instance, **asked)
        else:
            assert search_corpus(instance, **asked)


def test_what_killed_builds_left_is_gone_with_the_next_one(bank: Any, corpus: CorpusName) -> None:
    _open(bank, corpus)
    folder = _root(bank) / corpus
    for left in (".base-00000001.4711", "base-00000000"):
        (folder / left).mkdir()
        (folder / left / "terms_text.npy").write_bytes(b"words of a document that was taken down")
    _open(bank, corpus)
    assert sorted(path.name for path in folder.iterdir()) == ["base-00000001", "lock"]


def test_a_purge_leaves_no_index_of_a_corpus_that_is_declared_no_more(bank: Any, corpus: CorpusName) -> None:
    _open(bank, corpus)
    request = TakedownRequest(corpus=corpus, document="p001.txt", reason="A mistake.")
    hidden = take_down(bank.instance, actor=bank.steward, request=request)
    assert not isinstance(hidden, Refusal)
    without = replace(bank.instance, workspace=replace(bank.instance.workspace, corpora={}))
    purge_document(without, hidden.takedown)
    assert not (_root(bank) / corpus).exists()


def test_another_language_makes_another_index(bank: Any, corpus: CorpusName, make_person: Any) -> None:
    assert len(_found(bank, corpus, make_person("ann"), "rules")) == 10
    bank.declare(replace(bank.instance.workspace.corpora[corpus], language="de"))
    assert _found(bank, corpus, make_person("ann"), "rules") == []
    assert _found(bank, corpus, make_person("ann"), "names") != []
