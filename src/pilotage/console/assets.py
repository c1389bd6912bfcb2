"""Static files, loaded once, named by their digest and kept by browsers for good.

Rule: what is served is what the package holds; no path leads into the file system. Fail mode: an unknown name is 404.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

PREFIX: Final = "/static/"
_MEDIA: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file. `path` carries its digest; `packed` are its gzip bytes."""

    path: str
    media: str
    body: bytes
    packed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Every file, by plain name for templates and by path for requests."""

    by_name: Mapping[str, Asset]
    by_path: Mapping[str, Asset]

    def path(self, name: str) -> str:
        """Return the address of a file; KeyError for a name that does not exist."""
        return self.by_name[name].path


def load_assets() -> Assets:
    """Read the package's static files."""
    found: dict[str, Asset] = {}
    for file in resources.files("pilotage.console").joinpath("static").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix in _MEDIA:
            body = file.read_bytes()
            digest = base64.b32encode(hashlib.sha256(body).digest()[:10]).decode().lower()
            path = f"{PREFIX}{stem}.{digest}.{suffix}"
            packed = gzip.compress(body, compresslevel=9, mtime=0)
            found[file.name] = Asset(path=path, media=_MEDIA[suffix], body=body, packed=packed)
    return Assets(by_name=found, by_path={asset.path: asset for asset in found.values()})
