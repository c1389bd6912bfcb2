"""Opens the source a corpus declares, or the folder or file that `--from` names, read by the corpus's own settings."""

from __future__ import annotations

from pathlib import Path

from pilotage.adapters.connectors.folder import FolderConnector
from pilotage.adapters.connectors.jsonl import JsonlConnector
from pilotage.control.instance import Instance
from pilotage.core.errors import UsageError
from pilotage.corpus.connector import Connector, ListingFailed
from pilotage.corpus.inspection import Inspect, Redact
from pilotage.corpus.settings import CorpusSettings
from pilotage.store.corpus_derivation import DerivedSource


def open_source(
    instance: Instance, settings: CorpusSettings, source: Path | None, *, redact: Redact | None, inspect: Inspect
) -> Connector:
    """Return the connector of this run; nothing is read yet."""
    if settings.derived_from is not None:
        if source is not None:
            message = f"Corpus {settings.name} is derived from {settings.derived_from}; it takes no other source."
            raise UsageError("DERIVED_CORPUS", message, hint="Leave --from out.")
        if redact is None:
            message = f"Corpus {settings.name} is derived and no redaction is configured."
            raise UsageError("DERIVED_CORPUS", message, hint="Configure the guard's redaction first.")
        return DerivedSource(instance.engine, settings.derived_from, redact=redact, inspect=inspect)
    if source is not None and not source.exists():
        message = f"There is nothing at {source} to refresh {settings.name} from."
        raise UsageError("SOURCE_UNKNOWN", message, hint="Write --from with a folder or file that exists.")
    path = source or instance.root / "corpora" / settings.name / settings.source.path
    return open_path(path, settings)


def open_path(path: Path, settings: CorpusSettings) -> Connector:
    """Return a folder or JSONL connector by what stands at the path."""
    if path.is_dir():
        return FolderConnector(path, fields=settings.fields)
    if not path.is_file():
        message = f"The source {path} of corpus {settings.name} does not exist."
        raise ListingFailed(message, hint="Create it, or name a folder or file with --from.")
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return JsonlConnector(path, fields=settings.fields)
    return FolderConnector(path.parent, fields=settings.fields, only=path.name)
