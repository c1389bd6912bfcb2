"""From sealed embedding settings to a model that embeds.

Fail mode: Unavailable for a model this build cannot speak to; its release then does not load, and nothing is found by
words alone in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pilotage.adapters.embeddings.local_onnx import LocalEmbedder
from pilotage.adapters.embeddings.openai_compatible import OpenAICompatibleEmbedder
from pilotage.guard.policy import EgressRule
from pilotage.retrieval.embedder import Embedder
from pilotage.retrieval.settings import Embedding


def build_embedder(settings: Embedding, *, root: Path, egress: Sequence[EgressRule] = ()) -> Embedder:
    """Return the model that `settings` describe; `egress` are the release's rules, `root` is where paths start."""
    if settings.path is not None:
        return LocalEmbedder(settings, root=root)
    return OpenAICompatibleEmbedder(settings, root=root, egress=egress)
