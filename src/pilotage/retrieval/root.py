"""The digest of a set of revisions: what a version covers, taken-down documents left out."""

from __future__ import annotations

import numpy as np
from pyroaring import BitMap

from pilotage.core.digest import Digest, digest_of


def root_of(revisions: BitMap) -> Digest:
    """Return the digest of the ascending revision numbers, four bytes each, little-endian."""
    return digest_of(np.array(revisions, dtype="<u4").tobytes() if len(revisions) else b"")
