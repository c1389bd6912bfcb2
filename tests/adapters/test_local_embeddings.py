"""A model from a folder embeds what is pinned and nothing else; its runtime is a port, shown here by a small one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilotage.adapters.embeddings.local_onnx import TOKENIZER, WEIGHTS, Encode, LocalEmbedder, Network, weights_digest
from pilotage.adapters.embeddings.registry import build_embedder
from pilotage.core.errors import Unavailable
from pilotage.core.pins import PinKind
from pilotage.retrieval.settings import Embedding, Pooling

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "models/mini"
    made.mkdir(parents=True)
    (made / WEIGHTS).write_bytes(b"weights")
    (made / TOKENIZER).write_bytes(b"{}")
    return made


def settings(folder: Path, **changed: Any) -> Embedding:
    pin = {"pin_kind": PinKind.WEIGHTS, "pin": weights_digest(folder)}
    return Embedding(**{"model": "mini", "dimension": 2, "path": "models/mini", **pin, **changed})


class Runtime:
    """A token for each word, as many numbers as its length; padded. `pooled`: the network pools by itself."""

    def __init__(self, *, pooled: bool = False, broken: bool = False) -> None:
        self.opened: list[Path] = []
        self.asked: list[str] = []
        self.pooled, self.broken = pooled, broken

    def __call__(self, folder: Path, /, *, max_tokens: int) -> tuple[Encode, Network]:
        self.opened.append(folder)

        def encode(texts: Sequence[str], /) -> tuple[Any, Any]:
            self.asked += texts
            words = [[len(word) for word in text.split()][:max_tokens] for text in texts]
            most = max(map(len, words))
            ids = np.array([one + [9] * (most - len(one)) for one in words])
            return ids, np.array([[1] * len(one) + [0] * (most - len(one)) for one in words])

        def network(ids: Any, mask: Any, /) -> Any:
            assert ids.shape == mask.shape
            if self.broken:
                raise RuntimeError("the text of somebody")
            rows = np.stack([ids, ids * 10], axis=-1).astype(np.float64)
            return rows.mean(axis=1) if self.pooled else rows

        return encode, network


async def test_token_vectors_are_averaged_over_what_the_mask_keeps(tmp_path: Path, folder: Path) -> None:
    runtime = Runtime()
    embedder = LocalEmbedder(settings(folder), root=tmp_path, load=runtime)
    found = await embedder.passages(["a bbb", "cc"])
    assert [row.tolist() for row in found] == [[2.0, 20.0], [2.0, 20.0]]
    assert found[0].dtype == np.float32
    assert await embedder.passages([]) == []
    assert runtime.opened == [folder]


async def test_prefixes_length_and_pooling_are_as_sealed(tmp_path: Path, folder: Path) -> None:
    runtime = Runtime()
    how = settings(folder, question_prefix="q ", passage_prefix="pp ", max_tokens=2, pooling=Pooling.CLS)
    embedder = LocalEmbedder(how, root=tmp_path, load=runtime)
    assert (await embedder.question("aaaa bbbbbbbb")).tolist() == [1.0, 10.0]
    assert (await embedder.passages(["a"]))[0].tolist() == [2.0, 20.0]
    assert runtime.asked == ["q aaaa bbbbbbbb", "pp a"]
    whole = LocalEmbedder(settings(folder), root=tmp_path, load=Runtime(pooled=True))
    assert (await whole.question("a bbb")).tolist() == [2.0, 20.0]


async def test_files_that_are_not_the_pinned_ones_are_refused_with_their_digest(tmp_path: Path, folder: Path) -> None:
    how = settings(folder)
    (folder / TOKENIZER).write_bytes(b"{ }")
    embedder = LocalEmbedder(how, root=tmp_path, load=Runtime())
    with pytest.raises(Unavailable) as caught:
        await embedder.probe()
    assert caught.value.code == "MODEL_WEIGHTS_MISMATCH"
    assert weights_digest(folder) in (caught.value.hint or "")
    (folder / WEIGHTS).unlink()
    with pytest.raises(Unavailable, match=r"no readable model\.onnx"):
        await embedder.probe()


async def test_a_link_out_of_the_workspace_is_not_followed(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "bank"
    root.mkdir()
    (root / "models").symlink_to(folder.parent)
    with pytest.raises(Unavailable, match="outside the workspace"):
        await LocalEmbedder(settings(folder), root=root, load=Runtime()).probe()


async def test_a_runtime_that_breaks_is_a_failure_that_quotes_nobody(tmp_path: Path, folder: Path) -> None:
    embedder = LocalEmbedder(settings(folder), root=tmp_path, load=Runtime(broken=True))
    with pytest.raises(Unavailable) as caught:
        await embedder.question("a secret")
    assert caught.value.code == "upstream_failed"
    assert "somebody" not in caught.value.message


async def test_closing_lets_go_and_the_next_question_opens_again(tmp_path: Path, folder: Path) -> None:
    runtime = Runtime()
    embedder = LocalEmbedder(settings(folder), root=tmp_path, load=runtime)
    await embedder.probe()
    await embedder.close()
    await embedder.question("a")
    assert len(runtime.opened) == 2


async def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    embedder = build_embedder(settings(folder), root=tmp_path)
    with pytest.raises(Unavailable) as caught:
        await embedder.probe()
    assert (caught.value.code, caught.value.hint) == ("EMBEDDER_MISSING", "Install pilotage[local], or write endpoint.")
