"""Whether a release may serve in a space by where its model and documents stand; `space/residency.py` says what fits.

Rule: one rule (gates.md 7, serving.md 4), asked by the gates, at promotion, before an answer, and of every answer
afterwards; it is asked of what was sealed, whatever the workspace declares by now. Fail mode: a model of unknown region
and a corpus that nobody declares do not fit a space that has a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pilotage.core.ids import CorpusName
from pilotage.core.outward import LOCAL_NAMES
from pilotage.core.pins import PinKind
from pilotage.core.urls import place_of
from pilotage.corpus.settings import CorpusSettings, DataStage
from pilotage.release.assemble import CorpusPin
from pilotage.release.model import ModelSettings, Provider
from pilotage.release.subprocessors import Listed
from pilotage.retrieval.settings import Embedding
from pilotage.space.residency import fits
from pilotage.space.settings import Space


def fits_model(model: ModelSettings, space: Space) -> bool:
    """Tell whether the release's model may see this space's data; the built-in one runs where we run."""
    return model.provider is Provider.EXTRACTIVE or fits(model.region, space)


def fits_embedding(embedding: Embedding | None, space: Space) -> bool:
    """Tell whether the release's embedding model may see this space's data; one from a folder runs where we run."""
    return embedding is None or embedding.path is not None or fits(embedding.region, space)


def fits_documents(pin: CorpusPin, space: Space, corpora: Mapping[CorpusName, CorpusSettings]) -> bool:
    """Tell whether the documents of a sealed corpus version may be read in this space."""
    corpus = corpora.get(pin.name)
    return fits(None if corpus is None else corpus.region, space)


def outside_host(model: ModelSettings) -> str | None:
    """Return the host outside that sees what a model is asked, "" for an unknown one.

    None where nobody outside does: of the built-in model, and of one on this machine.
    """
    host = "" if model.base_url is None else place_of(model.base_url)[0]
    return None if model.provider is Provider.EXTRACTIVE or host in LOCAL_NAMES else host


def unlisted(model: ModelSettings, listed: Listed) -> str | None:
    """Return why a sealed model's provider is no listed subprocessor, None where it is, or where nobody outside is.

    A model of unknown region is in no listed one.
    """
    return _unlisted(outside_host(model), model.region, listed)


def embedding_host(embedding: Embedding) -> str | None:
    """Return the host outside that sees questions and passages; None where the model stands on this machine."""
    host = "" if embedding.path is not None else place_of(embedding.endpoint)[0]
    return None if embedding.path is not None or host in LOCAL_NAMES else host


def unlisted_embedding(embedding: Embedding | None, listed: Listed) -> str | None:
    """Return why the provider of a sealed embedding model is no listed subprocessor, as `unlisted` does."""
    return None if embedding is None else _unlisted(embedding_host(embedding), embedding.region, listed)


def unlisted_providers(model: ModelSettings, embedding: Embedding | None, listed: Listed) -> list[str]:
    """Return why providers of a release are no listed subprocessors, each reason once."""
    found = dict.fromkeys([unlisted(model, listed), unlisted_embedding(embedding, listed)])
    return [one for one in found if one is not None]


def floating_models(model: ModelSettings, embedding: Embedding | None) -> tuple[str, ...]:
    """Return which models of a release are named by an alias that their provider may move (gates.md 1.4)."""
    kinds = {"model": model.pin_kind, "embedding model": PinKind.BUILTIN if embedding is None else embedding.pin_kind}
    return tuple(name for name, kind in kinds.items() if kind is PinKind.FLOATING)


def _unlisted(host: str | None, region: str | None, listed: Listed) -> str | None:
    if host is None:
        return None
    if host not in listed:
        return f"{host or 'the model provider'} is not listed as a subprocessor"
    if region not in listed[host]:
        return f"{host} is listed for {', '.join(listed[host])}, the model is in {region or 'an unknown region'}"
    return None


def misplaced(
    model: ModelSettings,
    pins: Mapping[DataStage, CorpusPin],
    *,
    embedding: Embedding | None,
    spaces: Iterable[Space],
    corpora: Mapping[CorpusName, CorpusSettings],
) -> list[str]:
    """Return, for each space that a sealed model, embedding model or corpus does not fit, what would stand where."""
    found: list[str] = []
    for space in spaces:
        if not fits_model(model, space):
            found.append(f"{space.name}: model in {model.region or 'an unknown region'}")
        if embedding is not None and not fits_embedding(embedding, space):
            found.append(f"{space.name}: embedding model in {embedding.region or 'an unknown region'}")
        pin = pins.get(space.data_stage)
        if pin is not None and not fits_documents(pin, space, corpora):
            where = corpora[pin.name].region if pin.name in corpora else "an unknown region"
            found.append(f"{space.name}: corpus {pin.name} in {where}")
    return found
