"""An embedding model on this machine: ONNX weights and their tokenizer in a folder of the workspace, no network.

Rule: `model.onnx` and `tokenizer.json` are the bytes whose digest the release holds, checked before they are opened;
one token vector a token, pooled over those the attention mask keeps. Needs the extra `local` (onnxruntime, tokenizers).
Fail mode: Unavailable; a file that differs is MODEL_WEIGHTS_MISMATCH and names the digest it has.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np

from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.errors import Unavailable
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.settings import Embedding, Pooling

WEIGHTS: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"
_CHUNK: Final = 1 << 20


class Network(Protocol):
    """Token ids and attention mask (texts x tokens, int64) in, the model's first output out: n x t x d, or n x d."""

    def __call__(self, ids: Any, mask: Any, /) -> Any:  # noqa: ANN401 - arrays of the runtime
        """Return the first output."""
        ...


class Encode(Protocol):
    """Texts in; token ids and attention mask out, both texts x tokens."""

    def __call__(self, texts: Sequence[str], /) -> tuple[Any, Any]:
        """Return ids and mask."""
        ...


class Load(Protocol):
    """Opens a checked folder."""

    def __call__(self, folder: Path, /, *, max_tokens: int) -> tuple[Encode, Network]:
        """Return what encodes texts, and the network."""
        ...


def weights_digest(folder: Path) -> Digest:
    """Return the digest that `pin: {kind: weights}` holds: of name, size and SHA-256 of both files."""
    files = []
    for name in (WEIGHTS, TOKENIZER):
        found, size = hashlib.sha256(), 0
        try:
            with (folder / name).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    found.update(chunk)
                    size += len(chunk)
        except OSError as error:
            message = f"The embedding model has no readable {name} in {folder.name} ({type(error).__name__})."
            raise Unavailable("MODEL_WEIGHTS_MISSING", message, hint=f"Put {WEIGHTS} and {TOKENIZER} there.") from error
        files.append({"path": name, "sha256": found.hexdigest(), "size": size})
    return digest_of_json({"v": 1, "files": files})


def load_runtime(folder: Path, /, *, max_tokens: int) -> tuple[Encode, Network]:
    """Open a folder with onnxruntime on the CPU; raise Unavailable without the extra.

    Both libraries are loaded here: a process without such a model does not pay for them.
    """
    try:
        runtime, tokenizers = (importlib.import_module(name) for name in ("onnxruntime", "tokenizers"))
    except ImportError as error:
        message = "A local embedding model needs onnxruntime and tokenizers, which are not installed."
        raise Unavailable("EMBEDDER_MISSING", message, hint="Install pilotage[local], or write endpoint.") from error
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.enable_padding()
    session = runtime.InferenceSession(str(folder / WEIGHTS), providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}

    def encode(texts: Sequence[str], /) -> tuple[Any, Any]:
        found = tokenizer.encode_batch(list(texts))
        return (
            np.array([one.ids for one in found], dtype=np.int64),
            np.array([one.attention_mask for one in found], dtype=np.int64),
        )

    def network(ids: Any, mask: Any, /) -> Any:  # noqa: ANN401 - as the protocol says
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return session.run(None, {name: value for name, value in given.items() if name in wanted})[0]

    return encode, network


class LocalEmbedder:
    """The `Embedder` port over a folder; `root` is the workspace, `load` what opens it (a fake in tests)."""

    def __init__(self, settings: Embedding, *, root: Path, load: Load = load_runtime) -> None:
        self._settings = settings
        self._root = root
        self._load = load
        self._opened: tuple[Encode, Network] | None = None
        self._alone = Lock()

    async def passages(self, texts: Sequence[str]) -> Sequence[F32]:
        """Return the vector of each passage."""
        return await asyncio.to_thread(self._vectors, [self._settings.passage_prefix + text for text in texts])

    async def question(self, text: str) -> F32:
        """Return the vector of a question."""
        return (await asyncio.to_thread(self._vectors, [self._settings.question_prefix + text]))[0]

    async def probe(self) -> None:
        """Return when the model is open; raise Unavailable otherwise."""
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Let go of the weights."""
        self._opened = None

    def _open(self) -> tuple[Encode, Network]:
        with self._alone:
            if self._opened is None:
                self._opened = self._load(self._checked(), max_tokens=self._settings.max_tokens)
            return self._opened

    def _checked(self) -> Path:
        root = self._root.resolve()
        folder = (root / (self._settings.path or "")).resolve()
        if not folder.is_relative_to(root):
            message = f"The embedding model {self._settings.model!r} lies outside the workspace."
            raise Unavailable("MODEL_WEIGHTS_MISSING", message, hint="Put its folder below the workspace.")
        found = weights_digest(folder)
        if found != self._settings.pin:
            message = f"The files of the embedding model {self._settings.model!r} are not those that were pinned."
            hint = f"Restore them, or write pin: {{kind: weights, id: {found!r}}} and seal again."
            raise Unavailable("MODEL_WEIGHTS_MISMATCH", message, hint=hint)
        return folder

    def _vectors(self, texts: Sequence[str]) -> list[F32]:
        if not texts:
            return []
        encode, network = self._open()
        try:
            ids, mask = encode(texts)
            given = np.asarray(network(ids, mask), dtype=np.float32)
        except Exception as error:  # the runtime raises what it likes, and may quote a text
            message = f"The embedding model {self._settings.model!r} failed ({type(error).__name__})."
            raise Unavailable("upstream_failed", message) from error
        return list(_pooled(given, np.asarray(mask, dtype=np.float32), self._settings.pooling))


def _pooled(given: F32, mask: F32, how: Pooling) -> F32:
    """Return a row a text (n x d) of token vectors (n x t x d); what comes pooled stays as it is."""
    if given.ndim == 2:
        return given
    if how is Pooling.CLS:
        return given[:, 0, :]
    kept = mask[:, : given.shape[1], None]
    total: F32 = (given * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1.0)
    return total.astype(np.float32)
