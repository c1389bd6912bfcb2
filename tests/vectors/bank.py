"""A small bank whose assistant finds by words and vectors: its folder, its embedding server, and what people do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy import text

from pilotage.app import Joined
from pilotage.cli.runtime import Question
from pilotage.cli.workspace import write_template
from pilotage.control.embed_passages import EmbedTools
from pilotage.control.explain_interaction import explain_interaction
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.core.ids import CorpusName, PersonId
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.testing.embeddings import DIMENSION, EmbeddingServer
from pilotage.workspace.principals import local_principal

HANDBOOK = CorpusName("handbook")
FLEET = "The car of the branch is blue and stands in the garage behind the vault."
QUESTION = "automobile"
"""Shares no word with any document; as a bag of words with synonyms it is the fleet's."""


class VectorBank:
    """`server` embeds; `instance` is opened as a process opens it. Use it as a context manager."""

    def __init__(self, folder: Path, url: str, server: EmbeddingServer) -> None:
        self.folder = folder
        self.server = server
        self._environ = {"DATABASE_URL": url, "PILOTAGE_HOME": str(folder / "home")}
        self._stack = ExitStack()
        self.instance: Instance
        if not (folder / "bank").exists():
            write_template("minimal", folder / "bank")
            self.write("fleet.md", f"# Fleet\n\n{FLEET}\n", readers=["group:everyone"])
            self.declare()

    def __enter__(self) -> Self:
        opening = Opening(start=self.folder / "bank", environ=self._environ)
        self.instance = self._stack.enter_context(open_instance(opening))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def declare(self, *lines: str, **embedding: object) -> None:
        """Write retrieval.yaml with an embedding model; `lines` stand below it."""
        fields = {"model": "bag-1", "dimension": DIMENSION, "endpoint": self.server.url} | embedding
        said = ", ".join(f"{key}: {value}" for key, value in fields.items())
        self.configure("corpus: {uat: handbook}", "top_k: 5", f"embedding: {{{said}}}", *lines)

    def configure(self, *lines: str) -> None:
        (self.folder / "bank/workflows/assistant/retrieval.yaml").write_text("\n".join([*lines, ""]))
        self.reload()

    def reload(self) -> None:
        if hasattr(self, "instance"):
            self.instance = replace(self.instance, workspace=load_workspace(self.folder / "bank"))

    def write(self, document: str, body: str, *, readers: list[str]) -> None:
        folder = self.folder / "bank/corpora/handbook/documents"
        (folder / document).write_text(body, encoding="utf-8")
        acl = folder / "acl.yaml"
        others = [line for line in acl.read_text().splitlines() if not line.startswith(f'"{document}"')]
        acl.write_text("\n".join([*others, f'"{document}": [{", ".join(readers)}]', ""]))

    def person(self, name: str) -> Principal:
        return local_principal(self.instance.workspace, PersonId(name))

    def publish(self) -> int:
        self.reload()
        done = refresh_corpus(
            self.instance, actor=self.person("ben"), corpus=HANDBOOK, source=None, accept=True, tools=RefreshTools()
        )
        assert isinstance(done, RefreshResult)
        assert done.version is not None
        return done.version

    def publish_readers(self) -> None:
        """Refresh what changed of readers alone: there is no new version."""
        self.reload()
        done = refresh_corpus(
            self.instance, actor=self.person("ben"), corpus=HANDBOOK, source=None, accept=True, tools=RefreshTools()
        )
        assert isinstance(done, RefreshResult)

    def try_seal(self, progress: Callable[[str, int, int], None] = lambda *_: None) -> Sealed | Refusal:
        tools = EmbedTools(progress=progress)
        return seal_release(self.instance, actor=self.person("ada"), workflow="assistant", tools=tools)

    def seal(self) -> Sealed:
        done = self.try_seal()
        assert isinstance(done, Sealed), done
        return done

    def ask(self, question: str = QUESTION, who: str = "ada") -> dict[str, Any]:
        return Joined().ask(self.instance, self.person(who), Question(workflow="assistant", text=question))

    def explain(self, interaction: str, who: str = "ada") -> dict[str, Any]:
        return explain_interaction(self.instance, actor=self.person(who), interaction=interaction).as_json()

    def found(self, question: str = QUESTION, who: str = "ada") -> list[tuple[str, str]]:
        """Return document and score of the passages that were shown to the model, best first."""
        passages = self.explain(self.ask(question, who)["interaction"], who)["passages"]
        return [(one["document"], one["score"]) for one in passages]

    def rows(self, statement: str, **values: object) -> list[Any]:
        with self.instance.engine.connect() as connection:
            return list(connection.execute(text(statement), values).all())
