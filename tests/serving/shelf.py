"""A corpus in a real database for tests of serving: documents whose readers, versions and takedowns a test changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from tests.corpus.conftest import Bank, make_bank, settings

from pilotage.control.take_down import TakedownRequest, take_down
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.corpus.settings import CorpusSettings, DataStage
from pilotage.serving.indexes import Indexes
from pilotage.store.index_build import IndexFolder
from pilotage.testing.connectors import MemoryConnector, MemoryDocument


@dataclass
class Shelf:
    """`texts` by document id; everybody reads them until `readers` say otherwise."""

    bank: Bank
    name: CorpusName
    texts: dict[str, str]
    readers: dict[str, Sequence[str]]
    made: list[Indexes] = field(default_factory=list)

    @classmethod
    def reopen(cls, engine: Engine, folder: Path, name: str) -> Shelf:
        """What another process needs to serve a shelf that exists."""
        bank = make_bank(engine, folder)
        bank.declare(replace(settings(name), acl=(), data_stage=DataStage.UAT))
        return cls(bank=bank, name=CorpusName(name), texts={}, readers={})

    @property
    def corpora(self) -> Mapping[CorpusName, CorpusSettings]:
        return {self.name: self.bank.instance.workspace.corpora[self.name]}

    @property
    def folder(self) -> IndexFolder:
        return IndexFolder(root=self.bank.instance.home / "indexes")

    def indexes(self, **more: Any) -> Indexes:
        self.made.append(Indexes(self.bank.instance.engine, self.corpora, self.folder, **more))
        return self.made[-1]

    def close(self) -> None:
        for indexes in self.made:
            indexes.close()

    def publish(self) -> int:
        """Refresh and accept; return the version, which is the same when only readers changed."""
        documents = {
            name: MemoryDocument(
                data=text.encode(), suffix=".txt", acl=list(self.readers.get(name, ["group:everyone"]))
            )
            for name, text in self.texts.items()
        }
        result = self.bank.refresh(self.name, MemoryConnector(documents=documents))
        assert result.version is not None
        return result.version

    def revoke(self, document: str) -> None:
        self.readers[document] = []
        self.publish()

    def take_down(self, document: str) -> None:
        request = TakedownRequest(corpus=self.name, document=document, reason="A test says so.", wait=False)
        result = take_down(self.bank.instance, actor=self.bank.steward, request=request)
        assert not isinstance(result, Refusal)


def make_shelf(engine: Engine, folder: Path, test: str, texts: Mapping[str, str]) -> Shelf:
    """Return a shelf named after the test, with these texts published as version 1."""
    shelf = Shelf.reopen(engine, folder, re.sub("[^a-z0-9]+", "-", test)[-40:].strip("-"))
    shelf.texts.update(texts)
    shelf.publish()
    return shelf
