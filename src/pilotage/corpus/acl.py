"""Who may read a document: names, rules and the one fail mode, nobody (corpus-and-ledger.md 1.4).

No ACL, an empty list, an unknown principal form, or an answer a connector could not give: nobody, with the reason for
the quality report. The most specific rule (longest literal prefix) wins; equally specific ones intersect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilotage.corpus.globs import literal_prefix, matches
from pilotage.corpus.settings import AclRule

EVERYONE = "group:everyone"
ACL_STALE = "Who may read these documents was not confirmed in time. Try again after the next refresh."
"""What somebody is told who would see documents, were not the ACLs of all of them past their age."""
_NAME = re.compile(r"(?:user|group|service):[^\s\x00-\x1f](?:[^\x00-\x1f]{0,198}[^\s\x00-\x1f])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """The ACL names of a document, sorted, and where they come from. `problem` says why nobody may read it."""

    names: tuple[str, ...]
    source: str
    problem: str = ""


def is_acl_name(name: str) -> bool:
    """Tell whether the name has a known form: `user:`, `group:` or `service:` and an id."""
    return _NAME.fullmatch(name) is not None


def readers_of(names: object, *, source: str) -> Readers:
    """Read an ACL as given by a row or a connector (None: it does not know)."""
    if names is None:
        return Readers(names=(), source=source, problem="the source does not know who may read it")
    if not isinstance(names, Sequence) or isinstance(names, str | bytes):
        return Readers(names=(), source=source, problem="the ACL is not a list of names")
    if not names:
        return Readers(names=(), source=source, problem="the ACL is empty")
    unknown = [name for name in names if not isinstance(name, str) or not is_acl_name(name)]
    if unknown:
        what = f"{str(unknown[0])[:80]!r} is no user:, group: or service: name"
        return Readers(names=(), source=source, problem=what)
    return Readers(names=tuple(sorted({str(name) for name in names})), source=source)


def readers_by_rules(path: str, *, rules: Iterable[AclRule], default: Sequence[str]) -> Readers:
    """Decide by path: the most specific matching rules, else the corpus's default ACL, else nobody."""
    matching = [rule for rule in rules if matches(rule.glob, path)]
    if not matching:
        if not default:
            return Readers(names=(), source="none", problem="no acl rule matches it")
        return readers_of(default, source="corpus.yaml acl")
    best = max(len(literal_prefix(rule.glob)) for rule in matching)
    chosen = [rule for rule in matching if len(literal_prefix(rule.glob)) == best]
    source = "acl " + ", ".join(sorted({rule.glob for rule in chosen}))
    found = [readers_of(rule.names, source=source) for rule in chosen]
    broken = next((readers for readers in found if not readers.names), None)
    if broken is not None:
        return broken
    shared = set.intersection(*(set(readers.names) for readers in found))
    if not shared:
        return Readers(names=(), source=source, problem="equally specific acl rules have no reader in common")
    return Readers(names=tuple(sorted(shared)), source=source)
