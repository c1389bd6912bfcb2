"""A release is named by its content: the vectors of the specification, and what is refused before hashing."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import WorkflowName
from pilotage.release.manifest import (
    FilesPart,
    Manifest,
    PartFile,
    PartKind,
    ValuePart,
    check_canonical,
    part_digest,
    path_problems,
    read_manifest,
)

UNKNOWN = Digest("sha256:" + "0" * 64)
PROMPT = b"Answer from {passages}. Question: {question}\n"


def _vector(parent: Digest | None = None) -> Manifest:
    parts = {kind: Digest(f"sha256:{hashlib.sha256(kind.value.encode()).hexdigest()}") for kind in PartKind}
    parts[PartKind.PROMPT] = part_digest(FilesPart(kind=PartKind.PROMPT, files=(PartFile.of("prompt.md", PROMPT),)))
    return Manifest(workflow=WorkflowName("loan-assistant"), parent=parent, parts=parts)


def test_the_digests_of_the_specification_hold() -> None:
    manifest = _vector()
    assert manifest.parts[PartKind.PROMPT] == "sha256:3ca3a2e80355e8dac9829c92d0724fb72c4758da1e942c561230d90566ba64d8"
    assert manifest.parts_digest == "sha256:d0a53ced3dd2b0f9b9d2619183a95d331c15cdf519bae77901386587358abfca"
    assert manifest.digest == "sha256:e92a0f8183519a26ffbef1e35d3800b7be7171d15a9fbb2821c627df5c566600"
    child = _vector(parent=manifest.digest)
    assert child.digest == "sha256:77c6f3e26104742494be7c7b9c38cbe67481f5f0680d2501d5a52933e0219dd2"
    assert child.parts_digest == manifest.parts_digest


def test_a_stored_manifest_reads_back_only_under_its_own_digest() -> None:
    manifest = _vector()
    assert read_manifest(manifest.to_bytes(), digest=manifest.digest) == manifest
    flipped = manifest.to_bytes().replace(b"loan", b"lean")
    with pytest.raises(IntegrityError, match="another digest"):
        read_manifest(flipped, digest=manifest.digest)


@pytest.mark.parametrize("data", [b'{"schema":"pilotage.release/9"}', b"[]"])
def test_a_manifest_of_an_unknown_schema_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="schema"):
        read_manifest(data, digest=Digest(f"sha256:{hashlib.sha256(data).hexdigest()}"))


@pytest.mark.feature("D1.10")
def test_a_manifest_with_a_missing_part_is_refused() -> None:
    data = b'{"parent":null,"parts":{},"schema":"pilotage.release/1","workflow":"w"}'
    with pytest.raises(IntegrityError, match="eight parts"):
        read_manifest(data, digest=Digest(f"sha256:{hashlib.sha256(data).hexdigest()}"))


@given(st.permutations(["a.jsonl", "b.jsonl", "é.jsonl", "Z.jsonl"]), st.binary(max_size=20))
def test_the_order_of_files_never_changes_a_digest_and_any_byte_does(names: list[str], data: bytes) -> None:
    files = tuple(PartFile.of(name, data) for name in names)
    part = FilesPart(kind=PartKind.PROMPT, files=files)
    assert part_digest(part) == part_digest(FilesPart(kind=PartKind.PROMPT, files=tuple(sorted(files))))
    other = FilesPart(kind=PartKind.PROMPT, files=(PartFile.of(names[0], data + b"\0"), *files[1:]))
    assert part_digest(part) != part_digest(other)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret", "a/../b", "a//b", "a\\b", "./a", "", "a\0b", "e\u0301.md"]
)
def test_a_path_that_could_name_something_else_is_refused(path: str) -> None:
    assert [reason.code for reason in path_problems([path])] == ["SEAL_PATH"]


def test_two_paths_equal_after_case_folding_are_refused() -> None:
    assert [reason.where for reason in path_problems(["golden/a.jsonl", "golden/A.jsonl"])] == ["golden/A.jsonl"]
    assert path_problems(["golden/a.jsonl", "evaluation.yaml"]) == []


def test_a_value_that_cannot_be_hashed_names_its_file() -> None:
    bad = check_canonical(ValuePart(kind=PartKind.MODEL, value={"n": 2**53}), where="model.yaml")
    assert bad is not None
    assert bad.code == "SEAL_INVALID_FILE"
    assert "model.yaml" in bad.text
    assert check_canonical(ValuePart(kind=PartKind.MODEL, value={"n": 1}), where="model.yaml") is None


def test_a_manifest_that_was_read_before_is_still_compared_with_its_digest() -> None:
    manifest = _vector()
    data = manifest.to_bytes()
    assert read_manifest(data, digest=manifest.digest) == manifest
    with pytest.raises(IntegrityError, match="another digest"):
        read_manifest(data.replace(b"loan", b"home"), digest=manifest.digest)
    with pytest.raises(TypeError):
        read_manifest(data, digest=manifest.digest).parts[PartKind.PROMPT] = UNKNOWN  # type: ignore[index]
