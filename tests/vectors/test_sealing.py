"""Sealing computes vectors once, keeps what it has, tells what it could not use, and seals nothing half."""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext

import numpy as np
import pytest
from sqlalchemy import text
from tests.vectors.bank import FLEET, VectorBank
from typer.testing import CliRunner

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.cli.options import Options
from pilotage.control.seal_release import Sealed
from pilotage.core.errors import Unavailable
from pilotage.core.reason import Refusal
from pilotage.corpus.settings import DataStage
from pilotage.release.manifest import PartKind
from pilotage.retrieval.quantiser import Quantiser, make_quantiser
from pilotage.store.embeddings import keep_vectors
from pilotage.store.releases import get_blob, load_release
from pilotage.testing.embeddings import EmbeddingServer, bag_of_words

pytestmark = pytest.mark.store
COUNT = "SELECT count(*) AS n FROM embedding"
CONTENTS = "SELECT count(DISTINCT content_hash) AS n FROM chunk"
NOTHING_SEALED = "SELECT (SELECT count(*) FROM release) + (SELECT count(*) FROM part) AS n"


def codes(refused: Sealed | Refusal) -> list[str]:
    assert isinstance(refused, Refusal), refused
    return [reason.code for reason in refused.reasons]


def test_each_content_is_embedded_once(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.declare(batch=2)
    bank.publish()
    told: list[tuple[str, int, int]] = []
    assert isinstance(bank.try_seal(lambda *said: told.append(said)), Sealed)
    contents = bank.rows(CONTENTS)[0].n
    assert contents > 3
    assert bank.rows(COUNT)[0].n == contents == len(server.texts) == len(set(server.texts))
    assert f"Fleet\n{FLEET}" in server.texts
    assert all(len(body["input"]) <= 2 for _, body in server.seen)
    assert (told[0], told[-1]) == (("handbook", 0, contents), ("handbook", contents, contents))
    vector = np.frombuffer(bank.rows("SELECT vector FROM embedding LIMIT 1")[0].vector, "<f4")
    assert float(vector @ vector) == pytest.approx(1)
    assert not bank.seal().created
    bank.write("news.md", "# News\n\nThe canteen opens at nine.\n", readers=["group:everyone"])
    bank.publish()
    assert bank.seal().created
    assert len(server.texts) == contents + 1


def test_a_sealing_that_broke_off_goes_on_where_it_stood(bank: VectorBank, server: EmbeddingServer) -> None:
    """The third batch of a page fails: what the others gave is kept, and nothing is sealed."""
    bank.declare(batch=1)
    bank.publish()
    contents = bank.rows(CONTENTS)[0].n
    served = threading.Lock()

    def fail_after_two() -> None:
        with served:
            server.status = 200 if len(server.seen) <= 2 else 400

    server.wait = fail_after_two
    with pytest.raises(Unavailable, match="HTTP 400"):
        bank.try_seal()
    kept = bank.rows(COUNT)[0].n
    assert 1 <= kept < contents
    assert bank.rows(NOTHING_SEALED)[0].n == 0
    server.wait, server.status = lambda: None, 200
    server.seen.clear()
    bank.seal()
    assert len(server.texts) == contents - kept
    assert bank.rows(COUNT)[0].n == contents


def test_nothing_is_sealed_while_the_embedding_model_is_down(bank: VectorBank) -> None:
    bank.publish()
    bank.declare(endpoint="http://127.0.0.1:9/v1/embeddings")
    with pytest.raises(Unavailable, match="bag-1") as caught:
        bank.try_seal()
    assert caught.value.code == "upstream_failed"
    assert [bank.rows(NOTHING_SEALED)[0].n, bank.rows(COUNT)[0].n] == [0, 0]


@pytest.mark.parametrize("odd", [[1.0] * 63, [math.nan] * 64, [0.0] * 64, []], ids=["short", "nan", "zero", "empty"])
def test_a_passage_without_a_direction_is_told_and_found_by_its_words(
    bank: VectorBank, server: EmbeddingServer, odd: list[float]
) -> None:
    server.gives = lambda given: odd if FLEET in given else bag_of_words(given)
    bank.publish()
    sealed = bank.seal()
    [note] = [one for one in sealed.notes if one.code == "VECTORS_REJECTED"]
    assert (note.observed, "fleet.md#0" in note.text) == ("1", True)
    assert "fleet.md" not in [name for name, _ in bank.found("automobile")]
    assert "fleet.md" in [name for name, _ in bank.found("behind the vault")]
    again = bank.seal()
    assert (again.created, [one.code for one in again.notes]) == (False, ["VECTORS_REJECTED"])


def test_a_model_of_another_dimension_is_refused_with_what_it_gives(bank: VectorBank) -> None:
    bank.declare(dimension=48)
    bank.publish()
    refused = bank.try_seal()
    assert codes(refused) == ["SEAL_VECTORS_UNUSABLE"]
    assert isinstance(refused, Refusal)
    assert (refused.reasons[0].observed, refused.reasons[0].limit) == ("64", "48")
    assert [bank.rows(NOTHING_SEALED)[0].n, bank.rows(COUNT)[0].n] == [0, 0]


def test_what_is_refused_anyway_is_not_paid_for(bank: VectorBank, server: EmbeddingServer) -> None:
    assert codes(bank.try_seal()) == ["SEAL_CORPUS_NOT_ACCEPTED"]
    bank.publish()
    golden = bank.folder / "bank/workflows/assistant/golden/first.jsonl"
    golden.unlink()
    bank.reload()
    assert codes(bank.try_seal()) == ["SEAL_GOLDEN_EMPTY"]
    assert server.seen == []


def test_sealing_trains_cells_and_seals_their_digest(bank: VectorBank) -> None:
    bank.declare("vectors: approximate")
    bank.publish()
    sealed = bank.seal()
    with bank.instance.engine.connect() as connection:
        settings = load_release(connection, sealed.digest).retrieval
        digest = settings.cells[DataStage.UAT]
        cells = Quantiser.from_bytes(get_blob(connection, digest[7:]))
    assert cells.digest == digest == make_quantiser(np.zeros((0, 64), np.float32)).digest  # too few chunks: seeded
    assert not bank.seal().created
    assert bank.found()[0][0] == "fleet.md"
    bank.declare("vectors: approximate", f"cells: {{uat: {digest}}}")
    named = bank.seal()
    assert (named.created, named.parts[PartKind.RETRIEVAL]) == (False, sealed.parts[PartKind.RETRIEVAL])


def test_cells_that_nobody_trained_are_refused_with_what_to_write(bank: VectorBank) -> None:
    bank.publish()
    bank.declare("vectors: approximate", f"cells: sha256:{'a' * 64}")
    refused = bank.try_seal()
    assert codes(refused) == ["SEAL_CELLS_UNKNOWN"]
    assert isinstance(refused, Refusal)
    assert "Remove the key cells" in refused.reasons[0].text
    bank.declare("vectors: approximate")
    bank.seal()
    [cells] = bank.rows("SELECT digest FROM vector_cells")
    bank.declare("vectors: approximate", f"cells: {cells.digest}", dimension=32)
    refused = bank.try_seal()
    assert codes(refused) == ["SEAL_CELLS_UNKNOWN"]
    assert isinstance(refused, Refusal)
    assert "64 numbers, and vectors have 32" in refused.reasons[0].text


def test_cells_are_trained_anew_when_what_everybody_may_read_has_doubled(
    bank: VectorBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotage.retrieval.quantiser.LEAST_CELLS", 1)
    monkeypatch.setattr("pilotage.retrieval.quantiser.PER_CELL", 2)
    bank.declare("vectors: approximate")
    for number in range(12):
        bank.write(
            f"public-{number}.md", f"# Day {number}\n\nOn day {number} all is fine.\n", readers=["group:everyone"]
        )
        bank.write(f"hidden-{number}.md", f"# Vault {number}\n\nVault {number} is empty.\n", readers=["group:lending"])
    bank.publish()
    bank.seal()
    [first] = bank.rows("SELECT digest, public FROM vector_cells")
    assert first.public >= 13
    for number in range(12, 18):
        bank.write(
            f"public-{number}.md", f"# Day {number}\n\nOn day {number} all is fine.\n", readers=["group:everyone"]
        )
    bank.publish()
    bank.seal()
    assert [one.digest for one in bank.rows("SELECT digest FROM vector_cells")] == [first.digest]
    for number in range(18, 40):
        bank.write(
            f"public-{number}.md", f"# Day {number}\n\nOn day {number} all is fine.\n", readers=["group:everyone"]
        )
    bank.publish()
    sealed = bank.seal()
    newest = bank.rows("SELECT digest FROM vector_cells ORDER BY at DESC, public DESC")[0].digest
    assert newest != first.digest
    with bank.instance.engine.connect() as connection:
        assert load_release(connection, sealed.digest).retrieval.cells == {DataStage.UAT: newest}


def test_cells_know_nothing_of_hidden_documents(bank: VectorBank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilotage.retrieval.quantiser.LEAST_CELLS", 1)
    monkeypatch.setattr("pilotage.retrieval.quantiser.PER_CELL", 2)
    bank.declare("vectors: approximate")
    for number in range(12):
        bank.write(
            f"public-{number}.md", f"# Day {number}\n\nOn day {number} all is fine.\n", readers=["group:everyone"]
        )
    bank.publish()
    bank.seal()
    [alone] = bank.rows("SELECT digest FROM vector_cells")
    for number in range(5):
        bank.write(
            f"a-hidden-{number}.md", f"# Vault {number}\n\nVault {number} is empty.\n", readers=["group:lending"]
        )
    bank.publish()
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM vector_cells"))
    bank.seal()
    assert [one.digest for one in bank.rows("SELECT digest FROM vector_cells")] == [alone.digest]


def test_nothing_is_kept_of_a_document_that_was_taken_down_meanwhile(bank: VectorBank) -> None:
    bank.publish()
    bank.seal()
    rows = bank.rows(
        "SELECT DISTINCT e.model, c.content_hash FROM chunk c JOIN revision r USING (corpus, rev)"
        " JOIN embedding e USING (corpus, content_hash) WHERE r.document = 'fleet.md'"
    )
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM embedding"))
        connection.execute(text("UPDATE document SET tombstone = 't' WHERE id = 'fleet.md'"))
        for row in rows:
            keep_vectors(connection, "handbook", row.model, {row.content_hash: np.ones(64, np.float32)})  # type: ignore[arg-type]
    assert bank.rows(COUNT)[0].n == 0


def test_the_seal_command_names_what_was_rejected(
    bank: VectorBank, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gives = lambda given: [] if FLEET in given else bag_of_words(given)
    bank.publish()
    monkeypatch.setattr(Options, "open", lambda _options, _command, **_: nullcontext(bank.instance))
    result = CliRunner().invoke(make_app(Joined()), ["release", "seal", "assistant", "--as", "ada"])
    assert result.exit_code == 0, result.output
    assert "1 chunks of handbook have no usable vector" in " ".join(result.output.split())


def test_a_corpus_that_moves_while_its_passages_are_embedded_is_not_sealed_half(
    bank: VectorBank, server: EmbeddingServer
) -> None:
    bank.declare("vectors: approximate")
    bank.publish()

    def move() -> None:
        server.wait = lambda: None
        bank.write("late.md", "# Late\n\nA late passage.\n", readers=["group:everyone"])
        bank.publish()

    server.wait = move
    refused = bank.try_seal()
    assert codes(refused) == ["SEAL_VECTORS_MISSING"]
    assert bank.rows(NOTHING_SEALED)[0].n == 0
    assert bank.seal().created
