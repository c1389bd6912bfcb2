"""Reads part `model`: `workflows/<name>/model.yaml`, or the same value from a sealed release (which has no prices).

Rule: secrets by reference only; the file writes prices per million tokens, the record holds nano-units per token.
Fail mode: every mistake at once.
"""

from __future__ import annotations

import re
from decimal import Decimal

from pilotage.core.fields import ANY, TEXT, Fields, choice, integer, map_of, matching, read_record, record
from pilotage.core.located import Located, Problems
from pilotage.core.pins import PinKind, read_pin
from pilotage.core.readers import DECIMAL, FRACTIONAL_SECONDS, SECRET_REF
from pilotage.core.urls import URL
from pilotage.release.model import ModelSettings, Prices, Provider

_CURRENCY = matching(re.compile(r"[A-Z]{3}"), "a currency code such as USD")
_PATH = matching(re.compile(r"/\S*"), "a path that starts with /")
_HEADER = matching(re.compile(r"[A-Za-z0-9-]{1,64}"), "the name of a header, such as Authorization or api-key")
EXTRACTIVE_MODEL = "pilotage-extractive/1"
_NANO_PER_MILLIONTH = 1000


def parse_model(at: Located, problems: Problems) -> ModelSettings:
    """Read the model settings; mistakes go to `problems`, with stand-ins in the result."""
    return read_record(at, problems, _model)


def parse_prices(at: Located, problems: Problems) -> Prices:
    """Read prices as model.yaml writes them; mistakes go to `problems`."""
    return read_record(at, problems, _prices)


def _model(fields: Fields) -> ModelSettings:
    provider = fields.need("provider", choice(Provider))
    timeouts = fields.get("timeouts", record(_timeouts), {})
    pin_kind, pin = _pin(fields, provider)
    model = fields.get("model", TEXT, "")
    if not model and provider is not Provider.EXTRACTIVE:
        fields.problem("model", "'model' is missing", "Write the id of the model at the provider.")
    settings = ModelSettings(
        provider=provider,
        model=model or EXTRACTIVE_MODEL,
        pin_kind=pin_kind,
        pin=pin,
        region=fields.get("region", TEXT, None),
        base_url=fields.get("base_url", URL, None),
        path=fields.get("path", _PATH, "/chat/completions"),
        auth_header=fields.get("auth_header", _HEADER, "Authorization"),
        auth_ref=fields.get("auth", SECRET_REF, None),
        api_version=fields.get("api_version", TEXT, None),
        parameters={key: value.plain() for key, value in fields.get("parameters", map_of(ANY), {}).items()},
        max_tokens=fields.get("max_tokens", integer(1, 1_000_000), 1024),
        project_id=fields.get("project_id", TEXT, None),
        space_id=fields.get("space_id", TEXT, None),
        prices=fields.get("prices", record(_prices), None),
        **timeouts,
    )
    _check_remote(settings, fields)
    return settings


def _check_remote(settings: ModelSettings, fields: Fields) -> None:
    if settings.provider is Provider.EXTRACTIVE:
        return
    if settings.base_url is None:
        fields.problem("base_url", "'base_url' is missing", "Write where the model answers: https://host/v1.")
    if settings.pin_kind is PinKind.BUILTIN:
        hint = "Write kind: dated, revision, weights or floating."
        fields.problem("pin", "Only the extractive model is built in", hint)
    if settings.provider is Provider.WATSONX and (settings.project_id is None) == (settings.space_id is None):
        fields.problem("project_id", "watsonx needs exactly one of project_id and space_id", "Write one of them.")


def _pin(fields: Fields, provider: Provider) -> tuple[PinKind, str]:
    if provider is Provider.EXTRACTIVE and not fields.has("pin"):
        return PinKind.BUILTIN, EXTRACTIVE_MODEL
    return fields.need("pin", record(read_pin))


def _timeouts(fields: Fields) -> dict[str, float]:
    defaults = {"connect": 2.0, "first_token": 20.0, "between_tokens": 15.0, "total": 120.0}
    return {f"{name}_s": fields.get(name, FRACTIONAL_SECONDS, default) for name, default in defaults.items()}


def _prices(fields: Fields) -> Prices:
    reason = fields.get("unmetered", TEXT, None)
    embedding = _nano(fields, "embedding") if fields.has("embedding") else None
    if reason is not None:
        return Prices(unmetered=reason, embedding_nano=embedding)
    return Prices(
        embedding_nano=embedding,
        currency=fields.get("currency", _CURRENCY, "USD"),
        input_nano=_nano(fields, "input"),
        output_nano=_nano(fields, "output"),
    )


def _nano(fields: Fields, key: str) -> int:
    nano = fields.need(key, DECIMAL) * _NANO_PER_MILLIONTH
    if nano != nano.to_integral_value():
        fields.problem(key, f"{key!r} has more than 3 decimals", "Write the price per million tokens, such as 0.15.")
        return 0
    return int(Decimal(nano))
