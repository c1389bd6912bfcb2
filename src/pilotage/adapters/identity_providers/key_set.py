"""The provider's published keys (RFC 7517), reduced to those that can verify access tokens here.

Rule: signature keys of allowed algorithms only: RSA of 2,048 bits or more, EC on the algorithm's curve, Ed25519; never
a symmetric key. Fail mode: an unusable key is left out; a set without a usable key raises, so it never replaces a good
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from pilotage.core.canonical import CanonicalError, Json, parse_json

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_MIN_RSA_BITS = 2048
_MIN_RSA_CHARACTERS = -(-_MIN_RSA_BITS // 6)
_MAX_KEYS = 100


class KeySetError(Exception):
    """The published set is unusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One usable key and the algorithms it may verify."""

    kid: str | None
    key: Key
    algorithms: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The usable keys."""

    keys: tuple[SigningKey, ...]

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """Return the key of this id that fits the algorithm; without an id, the only one that fits."""
        fitting = [key for key in self.keys if algorithm in key.algorithms and kid in {None, key.kid}]
        return fitting[0] if len(fitting) == 1 else None


def parse_key_set(data: bytes, algorithms: Iterable[str]) -> KeySet:
    """Read a JWKS document; raise KeySetError when nothing in it is usable."""
    try:
        value = parse_json(data, max_depth=10)
    except CanonicalError as error:
        message = f"The key set is not JSON: {error.message}"
        raise KeySetError(message) from error
    listed = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
        raise KeySetError("The key set holds no list of keys.")
    allowed = frozenset(algorithms)
    found = [key for key in (_usable(item, allowed) for item in listed) if key is not None]
    if not found:
        raise KeySetError("The key set holds no key that can verify tokens here.")
    return KeySet(keys=tuple(found))


def _usable(item: Json, allowed: frozenset[str]) -> SigningKey | None:
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    operations = item.get("key_ops")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    fields: dict[str, str | list[str]] = {
        name: text for name, text in item.items() if isinstance(text, str) and name not in {"use", "alg"}
    }
    if item.get("kty") == "RSA" and len(str(item.get("n"))) < _MIN_RSA_CHARACTERS:
        return None  # before importing: the library warns about weak keys instead of refusing them
    try:
        key = JWKRegistry.import_key(fields)
        algorithms = _algorithms_of(key) & allowed
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if "alg" in item:
        algorithms &= {str(item["alg"])}
    kid = item.get("kid")
    return SigningKey(kid=kid if isinstance(kid, str) else None, key=key, algorithms=algorithms) if algorithms else None


def _algorithms_of(key: Key) -> frozenset[str]:
    if isinstance(key, RSAKey):
        is_long = key.public_key.key_size >= _MIN_RSA_BITS
        return (
            frozenset(f"{kind}{bits}" for kind in ("RS", "PS") for bits in (256, 384, 512)) if is_long else frozenset()
        )
    if isinstance(key, ECKey):
        return frozenset(name for name, curve in _CURVES.items() if key.curve_name == curve)
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        return frozenset({"EdDSA"})
    return frozenset()
