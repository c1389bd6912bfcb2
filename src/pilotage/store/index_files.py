"""Index segments on disk: one folder of arrays with a manifest of hashes, opened memory-mapped and read-only.

Rule: written to a new folder, synced, read back, then renamed; every file's SHA-256 is checked on load. Fail mode: a
flipped byte raises IntegrityError and the caller rebuilds; a full disk leaves the old folder as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pilotage.core.errors import IntegrityError, Unavailable
from pilotage.retrieval.quantiser import Quantiser
from pilotage.retrieval.segment import Segment

FORMAT = "pilotage.index/1"
_MANIFEST = "manifest.json"
_SEAL = "manifest.sha256"
_CENTROIDS = "quantiser"
_BLOCK = 1 << 20
# numpy reads a header as Python's syntax, and CPython 3.11 counts how deep it is in that for all threads together.
_ONE_HEADER = threading.Lock()


class Manifest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a folder holds. `files` maps a file name to its SHA-256; `revisions` is [lowest, highest, how many].

    `probes` is how many cells a question looks into, None without cells.
    """

    format: str
    corpus: str
    analyser: str
    model: str | None
    chunks: int
    revisions: tuple[int, int, int]
    files: dict[str, str]
    probes: int | None = None


def write_segment(segment: Segment, folder: Path, *, corpus: str, analyser: str, model: str | None = None) -> None:
    """Write a segment to `folder`, which must not exist; on any error nothing of that name is left behind."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        files = {f"{name}.npy": _write_array(fresh / f"{name}.npy", array) for name, array in _arrays(segment).items()}
        revs = segment.revs
        manifest = Manifest(
            format=FORMAT,
            corpus=corpus,
            analyser=analyser,
            model=model,
            chunks=segment.chunks,
            revisions=(int(revs[0]), int(revs[-1]), len(revs)) if len(revs) else (0, 0, 0),
            files=files,
            probes=segment.quantiser.probes if segment.quantiser else None,
        )
        body = msgspec.json.encode(manifest)
        _write_synced(fresh / _MANIFEST, body)
        _write_synced(fresh / _SEAL, hashlib.sha256(body).hexdigest().encode())
        _sync_folder(fresh)
        read_segment(fresh, corpus=corpus, analyser=analyser, model=model)
        fresh.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        message = f"The index of {corpus} could not be written to {folder.parent}: {error.strerror}."
        raise Unavailable("INDEX_WRITE", message, hint="Free disk space; the old index goes on serving.") from error


def read_segment(folder: Path, *, corpus: str, analyser: str, model: str | None = None) -> Segment:
    """Open a folder after checking every byte of it; raise IntegrityError when it is not what was written."""
    try:
        body = (folder / _MANIFEST).read_bytes()
        if hashlib.sha256(body).hexdigest().encode() != (folder / _SEAL).read_bytes():
            raise _altered(folder, _MANIFEST)
        manifest = msgspec.json.decode(body, type=Manifest)
        for name, expected in manifest.files.items():
            if _hash(folder / name) != expected:
                raise _altered(folder, name)
        arrays = {Path(name).stem: _open_array(folder / name) for name in manifest.files}
        quantiser = None
        if manifest.probes is not None:
            quantiser = Quantiser(centroids=arrays.pop(_CENTROIDS), probes=manifest.probes)
        segment = Segment(**arrays, quantiser=quantiser)
    except (OSError, ValueError, TypeError, KeyError, msgspec.DecodeError) as error:
        raise _altered(folder, str(error)) from error
    if (manifest.format, manifest.corpus, manifest.analyser, manifest.model) != (FORMAT, corpus, analyser, model):
        raise _altered(folder, "it was built with other settings")
    return segment


def model_of(folder: Path) -> str | None:
    """Return the model whose vectors a folder says it holds, None when it says nothing that can be read."""
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest).model
    except (OSError, msgspec.DecodeError):
        return None


def _altered(folder: Path, what: str) -> IntegrityError:
    return IntegrityError("INDEX_ALTERED", f"The index in {folder} is not as written: {what}.", hint="It is rebuilt.")


def _arrays(segment: Segment) -> Mapping[str, np.ndarray[Any, Any]]:
    named = {field.name: getattr(segment, field.name) for field in fields(segment) if field.name != "quantiser"}
    named[_CENTROIDS] = segment.quantiser and segment.quantiser.centroids
    return {name: array for name, array in named.items() if array is not None}


def _write_array(path: Path, array: np.ndarray[Any, Any]) -> str:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return _hash(path)


def _open_array(path: Path) -> np.ndarray[Any, Any]:
    # A plain view of the mapping: the subclass numpy returns makes every slice of it an expensive object.
    with _ONE_HEADER:
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)  # type: ignore[no-any-return]


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
