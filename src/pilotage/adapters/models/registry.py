"""From sealed model settings to a model that answers.

Fail mode: Unavailable for a provider this build cannot speak to; the release then does not load and nothing is served
by a substitute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from pilotage.adapters.models.extractive import Extract, ExtractiveModel
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.core.errors import Unavailable
from pilotage.guard.policy import EgressRule
from pilotage.release.generation import Model
from pilotage.release.model import ModelSettings, Provider
from pilotage.retrieval.settings import MinimumCoverage


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParts:
    """What models need beside their settings: how sentences are selected, and where `file:` secrets start."""

    extract: Extract
    root: Path


def build_model(
    settings: ModelSettings,
    parts: ModelParts,
    *,
    coverage: MinimumCoverage,
    language: str,
    egress: Sequence[EgressRule] = (),
) -> Model:
    """Return the model that `settings` describe; `coverage` and `language` matter to the extractive one.

    `egress` are the release's rules: where its model may be called.
    """
    match settings.provider:
        case Provider.EXTRACTIVE:
            return ExtractiveModel(parts.extract, coverage=coverage, language=language)
        case Provider.OPENAI:
            return OpenAICompatibleModel(settings, root=parts.root, egress=egress)
        case Provider.WATSONX:
            message = f"Provider watsonx (model {settings.model!r}) is not installed in this build."
            raise Unavailable("model_unavailable", message, hint="Use provider extractive or openai in model.yaml.")
        case _:
            assert_never(settings.provider)
