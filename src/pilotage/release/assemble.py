"""From declared files to the eight parts of a release (gates.md 1.2). Values in, values out.

What is not behaviour stays out of the digest: `prices`, document text, rollout plan, policy, space settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage
from pilotage.release.manifest import FilesPart, Part, PartFile, PartKind, ValuePart

PROMPT_FILE = "prompt.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusPin:
    """One corpus version a release is sealed on: its number, its digest and how many documents and chunks it holds."""

    name: CorpusName
    version: int
    digest: Digest
    documents: int
    chunks: int

    def as_json(self) -> dict[str, Json]:
        """Return the pin as part `corpus` holds it."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "documents": self.documents,
            "chunks": self.chunks,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that is sealed. `model`, `retrieval` and `guard` are the parsed YAML values.

    `golden` maps paths (`golden/*.jsonl`, their `.meta.yaml`, `evaluation.yaml`) to bytes. `detectors` and `scorers`
    map names to versions.
    """

    prompt: bytes
    model: Mapping[str, Json]
    retrieval: Mapping[str, Json]
    guard: Mapping[str, Json]
    golden: Mapping[str, bytes]
    corpora: Mapping[DataStage, CorpusPin]
    detectors: Mapping[str, str]
    scorers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The eight parts and the bytes of the files they name, by bare hex SHA-256."""

    parts: tuple[Part, ...]
    files: Mapping[str, bytes]


def assemble(sources: Sources) -> Assembly:
    """Build every part. Pure: the same sources give the same digests, in any order and by anybody."""
    golden = {path: PartFile.of(path, data) for path, data in sources.golden.items()}
    prompt = PartFile.of(PROMPT_FILE, sources.prompt)
    parts: tuple[Part, ...] = (
        FilesPart(kind=PartKind.PROMPT, files=(prompt,)),
        ValuePart(kind=PartKind.MODEL, value=_without(sources.model, "prices")),
        ValuePart(kind=PartKind.RETRIEVAL, value=dict(sources.retrieval)),
        ValuePart(kind=PartKind.CORPUS, value={str(stage): pin.as_json() for stage, pin in sources.corpora.items()}),
        ValuePart(
            kind=PartKind.GUARD,
            value={"policy": _without(sources.guard, "tools", "egress"), "detectors": dict(sources.detectors)},
        ),
        ValuePart(kind=PartKind.TOOLS, value=sources.guard.get("tools") or []),
        ValuePart(kind=PartKind.EGRESS, value=sources.guard.get("egress") or []),
        ValuePart(
            kind=PartKind.GOLDEN,
            value={
                "files": [golden[path].as_json() for path in sorted(golden, key=str.encode)],
                "scorers": dict(sources.scorers),
                "judge": None,
            },
        ),
    )
    files = {file.sha256: sources.golden[path] for path, file in golden.items()}
    files[prompt.sha256] = sources.prompt
    return Assembly(parts=parts, files=files)


def _without(value: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: item for name, item in value.items() if name not in names}
