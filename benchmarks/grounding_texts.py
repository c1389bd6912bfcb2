"""The demo corpora as documents of passages: regulations by part, 10-Q pages by file, TAT-QA reports."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotage.guard.sentences import split_sentences

SENTENCES = 6
SHORTEST, LONGEST = 8, 45


@dataclass(frozen=True, slots=True)
class Document:
    """A document and its passages; each passage is a few sentences in a row."""

    id: str
    passages: tuple[tuple[str, ...], ...]


def read_documents(data: Path) -> list[Document]:
    """Read all three corpora, in the order of their ids. Versions of one regulation are one document."""
    found: dict[str, list[str]] = {}
    for name, text in _texts(data):
        found.setdefault(name, []).append(text)
    return [Document(name, tuple(_passages(texts))) for name, texts in sorted(found.items())]


def _texts(data: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((data / "cfpb-regulations-text").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            # Part and section: every version of a section stays on one side of the split.
            yield f"regulation/{row['part']}/{str(row['section']).split('-Interp')[0]}", row["text"]
    with gzip.open(data / "docugami-sec-10-q" / "pages.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            yield f"10-q/{row.get('document') or row.get('file') or row.get('doc')}", row["text"]
    for report in json.loads((data / "tatqa" / "tatqa_dataset_dev.json").read_text()):
        yield f"tatqa/{report['table']['uid']}", "\n\n".join(one["text"] for one in report["paragraphs"])


def _passages(texts: list[str]) -> Iterator[tuple[str, ...]]:
    for text in dict.fromkeys(texts):
        sentences = [" ".join(one.text.split()) for one in split_sentences(text)]
        for start in range(0, len(sentences), SENTENCES):
            passage = tuple(sentences[start : start + SENTENCES])
            if any(is_usable(one) for one in passage):
                yield passage


def is_usable(sentence: str) -> bool:
    """Tell whether a sentence is running text of a usual length."""
    words = sentence.split()
    return SHORTEST <= len(words) <= LONGEST and sentence[0].isupper() and sum(map(str.isalpha, words)) * 2 > len(words)


def data_digest(data: Path) -> str:
    """Return the digest of the files that were read."""
    names = [*sorted((data / "cfpb-regulations-text").glob("*.jsonl"))]
    names += [data / "docugami-sec-10-q" / "pages.jsonl.gz", data / "tatqa" / "tatqa_dataset_dev.json"]
    whole = hashlib.sha256()
    for name in names:
        whole.update(hashlib.sha256(name.read_bytes()).digest())
    return f"sha256:{whole.hexdigest()}"
