"""What `workflows/<name>/model.yaml` declares: provider, model, pin, parameters, limits.

Prices stand in the same file but outside the digest: a price is not behaviour (gates.md 1.2). Secrets only by
reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.pins import PinKind


class Provider(StrEnum):
    """Adapters for models."""

    EXTRACTIVE = "extractive"
    OPENAI = "openai"
    WATSONX = "watsonx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Integer nano-units (1e-9 of the currency) per token; `unmetered` needs a written reason.

    `embedding_nano` is for a token that the release's embedding model is asked; None: nobody said.
    """

    currency: str = "USD"
    input_nano: int = 0
    output_nano: int = 0
    unmetered: str | None = None
    embedding_nano: int | None = None

    def as_row(self) -> dict[str, str | int | None]:
        """Return what is stored; a price that nobody said leaves the row as versions before wrote it."""
        row = asdict(self)
        return row if self.embedding_nano is not None else {k: v for k, v in row.items() if k != "embedding_nano"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """One sealed model. `auth_ref` is `env:NAME` or `file:PATH`; times in seconds."""

    provider: Provider
    model: str
    pin_kind: PinKind
    pin: str
    region: str | None = None
    base_url: str | None = None
    path: str = "/chat/completions"
    auth_header: str = "Authorization"
    auth_ref: str | None = None
    api_version: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    max_tokens: int = 1024
    project_id: str | None = None
    space_id: str | None = None
    connect_s: float = 2.0
    first_token_s: float = 20.0
    between_tokens_s: float = 15.0
    total_s: float = 120.0
    prices: Prices | None = None

    @property
    def fingerprint(self) -> str:
        """Provider, model and pin: what answers, as far as it is known beforehand."""
        return f"{self.provider}/{self.model}/{self.pin_kind}:{self.pin}"
