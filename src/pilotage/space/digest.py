"""The digest of a space's settings, which approvals bind and the drift detector compares, and how two spaces differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.remembered import remembered
from pilotage.space.settings import Space


@remembered
def space_digest(space: Space) -> Digest:
    """Return the digest of every setting of a space."""
    return digest_of_json(plain_space(space))


def plain_space(space: Space) -> Json:
    """Return the settings as plain values, sorted by name.

    `hosts` that are not declared are left out: a space bound before the key existed keeps its digest.
    """
    values = asdict(space)
    if not space.hosts:
        del values["hosts"]
    return _plain(values)


def _plain(value: object) -> Json:
    match value:
        case StrEnum():
            return value.value
        case dict():
            return {str(key): _plain(item) for key, item in sorted(value.items())}
        case tuple() | list():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def differences(one: Space, other: Space) -> tuple[str, ...]:
    """Return the dotted keys in which two spaces differ, their names and tiers left out."""
    left, right = plain_space(one), plain_space(other)
    return tuple(sorted(key for key, _, _ in _different("", left, right) if key.split(".")[0] not in _IDENTITY))


_IDENTITY = frozenset({"name", "tier", "differs_from", "soak_s", "record_mode", "auto_promote", "hosts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting by its dotted key, in the space before and in this one; None: not set."""

    key: str
    before: Json
    after: Json

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {"key": self.key, "before": self.before, "after": self.after}


def changes_between(before: Space, after: Space) -> tuple[SettingChange, ...]:
    """Return every setting that changes for a release that goes from one space into the next, sorted by key."""
    found = _different("", plain_space(before), plain_space(after))
    return tuple(
        SettingChange(key=key, before=left, after=right)
        for key, left, right in sorted(found, key=lambda one: one[0])
        if key not in {"name", "tier"}
    )


def _different(path: str, left: Json, right: Json) -> Iterator[tuple[str, Json, Json]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from _different(f"{path}.{key}" if path else key, left.get(key), right.get(key))
    elif left != right:
        yield path, left, right
