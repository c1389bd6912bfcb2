"""From sealed model settings to a model that answers.

Fail mode: Unavailable for a provider this build cannot speak to; the release then does not load and nothing is served
by a substitute.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from pilotage.adapters.models.extractive import ExtractiveModel
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.core.errors import Unavailable
from pilotage.release.generation import Model
from pilotage.release.model import ModelSettings, Provider
from pilotage.retrieval.settings import MinimumCoverage


def build_model(settings: ModelSettings, *, coverage: MinimumCoverage, language: str, root: Path) -> Model:
    """Return the model of `settings`; `coverage` and `language` serve the extractive one, secrets start at `root`."""
    match settings.provider:
        case Provider.EXTRACTIVE:
            return ExtractiveModel(coverage=coverage, language=language)
        case Provider.OPENAI:
            return OpenAICompatibleModel(settings, root=root)
        case Provider.WATSONX:
            message = f"Provider watsonx (model {settings.model!r}) is not installed in this build."
            raise Unavailable("model_unavailable", message, hint="Use provider extractive or openai in model.yaml.")
        case _:
            assert_never(settings.provider)
