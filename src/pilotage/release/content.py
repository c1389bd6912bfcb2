"""The content of a sealed release, typed: what serving works with, read back from the sealed bytes alone.

Rule: every byte is checked against the digest that names it before it is parsed; the workspace folder is not consulted.
Fail mode: IntegrityError; a release that cannot be read whole is not served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilotage.core.canonical import Json, parse_json
from pilotage.core.digest import Digest, digest_of, parse_digest
from pilotage.core.errors import IntegrityError, UsageError
from pilotage.core.ids import CorpusName, WorkflowName
from pilotage.core.located import Problems, from_plain
from pilotage.corpus.settings import DataStage
from pilotage.guard.policy import GuardPolicy
from pilotage.guard.policy_file import parse_guard
from pilotage.release.assemble import PROMPT_FILE, CorpusPin
from pilotage.release.manifest import Manifest, PartFile, PartKind
from pilotage.release.model import ModelSettings, Prices
from pilotage.release.model_file import parse_model
from pilotage.release.prompt import Prompt, parse_prompt
from pilotage.retrieval.settings import RetrievalSettings
from pilotage.retrieval.settings_file import parse_retrieval

__all__ = [
    "CorpusPin",
    "ReleaseContent",
    "files_of",
    "part_value",
    "read_content",
    "sealed_model",
    "sealed_pins",
    "sealed_retrieval",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseContent:
    """Everything a request needs of a release. `prices` are the model's when it was sealed, no part of the release."""

    digest: Digest
    workflow: WorkflowName
    prompt: Prompt
    model: ModelSettings
    retrieval: RetrievalSettings
    corpora: Mapping[DataStage, CorpusPin]
    guard: GuardPolicy
    prices: Prices | None = None

    @property
    def headless_stage(self) -> DataStage:
        """The stage of the documents that it answers from in no space: UAT's where it has them."""
        return DataStage.UAT if DataStage.UAT in self.corpora or not self.corpora else DataStage.PRODUCTION

    def prices_by(self, declared: ModelSettings | None) -> Prices | None:
        """Return what its tokens cost: as the workflow says now of the same model, else as when it was sealed."""
        return declared.prices if declared is not None and self.is_model(declared) else self.prices

    def is_model(self, declared: ModelSettings | None) -> bool:
        """Tell whether a workflow declares the model this release was sealed with."""
        return declared is not None and _named(declared) == _named(self.model)


def _named(model: ModelSettings) -> tuple[str, str, str, str | None]:
    return model.provider, model.model, model.pin, model.base_url


def part_value(body: bytes, *, digest: Digest, kind: PartKind) -> Json:
    """Return a part's value, or its list of files, after checking its bytes and kind."""
    if digest_of(body) != digest:
        raise IntegrityError("VERIFY_BYTES", f"Part {kind} {digest} has other bytes than were sealed.", hint=_RESTORE)
    part = parse_json(body)
    if not isinstance(part, Mapping) or part.get("kind") != kind:
        raise IntegrityError("VERIFY_MANIFEST", f"Part {digest} is not a part {kind}.", hint=_RESTORE)
    return part.get("value", part.get("files"))


_RESTORE = "Restore the database from a backup whose ledger verifies; the release cannot be served."


def files_of(value: Json) -> tuple[PartFile, ...]:
    """Return the files that a part of kind prompt or golden names."""
    items = value.get("files") if isinstance(value, Mapping) else value
    if not isinstance(items, Sequence) or isinstance(items, str):
        return ()
    return tuple(
        PartFile(path=str(item["path"]), sha256=str(item["sha256"]), size=int(str(item["size"])))
        for item in items
        if isinstance(item, Mapping)
    )


def read_content(manifest: Manifest, *, bodies: Mapping[PartKind, bytes], prompt: bytes) -> ReleaseContent:
    """Parse a release. `bodies` are the stored part bytes, `prompt` the bytes of prompt.md."""
    values = {kind: part_value(bodies[kind], digest=manifest.parts[kind], kind=kind) for kind in PartKind}
    _check_prompt(values[PartKind.PROMPT], prompt, manifest.digest)
    problems = Problems()
    where = str(manifest.digest)[:19]
    content = ReleaseContent(
        digest=manifest.digest,
        workflow=manifest.workflow,
        prompt=parse_prompt(prompt, file=f"{where}/prompt.md", problems=problems),
        model=_model(values[PartKind.MODEL], where, problems),
        retrieval=parse_retrieval(from_plain(values[PartKind.RETRIEVAL], file=f"{where}/retrieval"), problems),
        corpora=_pins(values[PartKind.CORPUS]),
        guard=parse_guard(from_plain(_guard_value(values), file=f"{where}/guard"), problems),
    )
    problems.raise_if_any()
    return content


def _check_prompt(value: Json, prompt: bytes, digest: Digest) -> None:
    if PartFile.of(PROMPT_FILE, prompt) not in files_of(value):
        raise IntegrityError("VERIFY_BYTES", f"prompt.md of {digest} has other bytes than were sealed.", hint=_RESTORE)


def _guard_value(values: Mapping[PartKind, Json]) -> Json:
    guard = values[PartKind.GUARD]
    policy = guard.get("policy") if isinstance(guard, Mapping) else None
    if not isinstance(policy, Mapping):
        raise IntegrityError("VERIFY_MANIFEST", "The sealed guard part holds no policy.", hint=_RESTORE)
    return {**policy, "tools": values[PartKind.TOOLS], "egress": values[PartKind.EGRESS]}


def sealed_model(body: bytes, digest: Digest) -> ModelSettings:
    """Return the model that a stored part holds; raise IntegrityError or InvalidFiles."""
    problems = Problems()
    model = _model(part_value(body, digest=digest, kind=PartKind.MODEL), str(digest)[:19], problems)
    problems.raise_if_any()
    return model


def sealed_retrieval(body: bytes, digest: Digest) -> RetrievalSettings:
    """Return the retrieval settings that a stored part holds; raise IntegrityError or InvalidFiles."""
    problems = Problems()
    value = part_value(body, digest=digest, kind=PartKind.RETRIEVAL)
    found = parse_retrieval(from_plain(value, file=f"{str(digest)[:19]}/retrieval"), problems)
    problems.raise_if_any()
    return found


def sealed_pins(body: bytes, digest: Digest) -> dict[DataStage, CorpusPin]:
    """Return the corpus versions that a stored part holds, by stage; raise IntegrityError."""
    return _pins(part_value(body, digest=digest, kind=PartKind.CORPUS))


def _model(value: Json, where: str, problems: Problems) -> ModelSettings:
    return parse_model(from_plain(value, file=f"{where}/model"), problems)


def _pins(value: Json) -> dict[DataStage, CorpusPin]:
    what = "The sealed corpus part names no corpus version by stage."
    if not isinstance(value, Mapping):
        raise IntegrityError("VERIFY_MANIFEST", what, hint=_RESTORE)
    try:
        return {DataStage(stage): _pin(pin) for stage, pin in value.items()}
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise IntegrityError("VERIFY_MANIFEST", what, hint=_RESTORE) from error


def _pin(value: Json) -> CorpusPin:
    if not isinstance(value, Mapping):
        message = f"{value!r} is no pin"
        raise TypeError(message)
    return CorpusPin(
        name=CorpusName(str(value["name"])),
        version=int(str(value["version"])),
        digest=parse_digest(str(value["digest"])),
        documents=int(str(value["documents"])),
        chunks=int(str(value["chunks"])),
    )
