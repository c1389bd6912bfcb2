"""Bombs, nests, locked, torn and huge files in one folder: each is rejected alone, and their neighbours are read."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.test_parsing_formats import pdf, word_file

from pilotage.control.corpus_reports import list_versions
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.core.ids import CorpusName
from pilotage.corpus.connector import ListingFailed
from pilotage.corpus.records import SourceItem
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

pytestmark = pytest.mark.store
LOCK = b"/Encrypt<</Filter/Standard/V 1/R 2/O<" + b"41" * 32 + b">/U<" + b"42" * 32 + b">/P -4>>/ID[<00><00>]"
NESTED = {"deep.html": b"<div>" * 6_000 + b"x", "deep.md": b">" * 3_000 + b" x", "brackets.md": b"[" * 5_000}


def _archive(name: str, body: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(name, body)
    return target.getvalue()


def _hostile() -> dict[str, bytes]:
    whole, word = pdf(["The wire limit is 10,000 dollars."]), word_file()
    noise = random.Random(1).randbytes(2000)
    return {
        "bomb.docx": _archive("word/document.xml", bytes(64 << 20)),
        "packed.docx": _archive("word/document.xml", b"<w:document>" + b" " * (30 << 20)),
        "cut.docx": word[: len(word) // 2],
        "locked.pdf": whole.replace(b"/Root 1 0 R", b"/Root 1 0 R" + LOCK),
        "cut.pdf": whole[: len(whole) // 3],
        "noise.pdf": b"%PDF-1.7\n" + noise,
        "endless.txt": b"word " * (4 << 20),
        "latin.txt": b"caf\xe9",
        "nothing.html": b"<script>x</script>",
    }


def test_parser_limits(bank: Any, make_settings: Any, fresh_name: Any, tmp_path: Path) -> None:
    """Through the whole refresh: folder, child process, staging and publication."""
    corpus: CorpusName = bank.declare(make_settings(fresh_name()))
    hostile = _hostile()
    for name, data in {**hostile, **NESTED}.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "vast.pdf").open("wb") as file:
        file.truncate(65 << 20)
    for name in ("a-first.md", "m-middle.md", "z-last.md"):
        (tmp_path / name).write_text(f"# {name}\n\nThe turnstile of {name} opens at nine o'clock.\n")
    (tmp_path / "letter.docx").write_bytes(word_file())
    result = bank.refresh(corpus, tmp_path)
    rejected = {one.id: one.reason for one in result.rejected}
    assert set(rejected) - set(NESTED) == {*hostile, "vast.pdf"}
    assert rejected["vast.pdf"] == "is larger than 64 MiB: 68,157,440 bytes"
    assert "100 to 1" in rejected["bomb.docx"]
    assert rejected["locked.pdf"] == "is encrypted"
    assert all(0 < len(reason) < 200 for reason in rejected.values())
    assert (result.state, result.added) == ("accepted", 4 + len(NESTED) - len(set(NESTED) & set(rejected)))
    found = search_corpus(
        bank.instance, actor=bank.steward, corpus=corpus, wanted=Search(question="turnstile opens nine")
    )
    assert {passage.document for passage in found} == {"a-first.md", "m-middle.md", "z-last.md"}


class Speechless(MemoryConnector):
    """A source whose permissions cannot be read."""

    def acl(self, items: Sequence[SourceItem]) -> Mapping[str, object]:
        message = f"The permissions of {len(items)} items did not come."
        raise ListingFailed(message, hint="This is what the test asked for.")


def test_permissions_that_cannot_be_read_publish_nothing(bank: Any, make_settings: Any, fresh_name: Any) -> None:
    corpus: CorpusName = bank.declare(make_settings(fresh_name()))
    document = MemoryDocument(data=b"The turnstile opens at nine.", suffix=".txt")
    with pytest.raises(ListingFailed, match="permissions of 1 items"):
        bank.refresh(corpus, Speechless(documents={"a.txt": document}))
    assert list_versions(bank.instance, corpus=corpus).versions == ()
