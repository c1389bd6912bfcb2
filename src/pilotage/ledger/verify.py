"""Verifying a log from its entries alone: leaves, the root of every checkpoint, signatures, disclosures, key history.

Pure: parsed records in, a Verification out, nothing but the keys the caller trusts. Roots at every checkpoint are
recomputed from the leaves, which proves their consistency with each other. Rule: every entry must stand under a signed
checkpoint of a trusted key. Fail mode: the first failing seq or size is named; nothing missing ever counts as verified.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pilotage.core.reason import Reason
from pilotage.ledger.checkpoint import SignedCheckpoint, VerifierKey
from pilotage.ledger.commitment import is_opened_by
from pilotage.ledger.entry import EntryError, decode_entry
from pilotage.ledger.handover import Handover, parse_handover, trusted_keys
from pilotage.ledger.kinds import EntryKind
from pilotage.ledger.tree import EMPTY_ROOT, Frontier, is_included, leaf_hash

_OWN_ENTRY = b'"kind":"ledger.'


class Verdict(StrEnum):
    """The result of a verification, with its exit code."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNREADABLE = "unreadable"

    @property
    def exit_code(self) -> int:
        """Return 0 verified, 1 failed, 2 unreadable."""
        return {Verdict.VERIFIED: 0, Verdict.FAILED: 1, Verdict.UNREADABLE: 2}[self]


class LogEntry(NamedTuple):
    """One entry as an export or the database holds it. `proof` only in extracts: its inclusion in the checkpoint."""

    seq: int
    hash: bytes
    data: bytes
    proof: tuple[bytes, ...] = ()


class DisclosedField(NamedTuple):
    """What opens one commitment of the entry `seq`."""

    seq: int
    field: str
    salt: bytes
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which keys count: those the caller gave; without any, those of the export, and only if the caller says so."""

    given: tuple[VerifierKey, ...] = ()
    exported: tuple[VerifierKey, ...] = ()
    accept_exported: bool = False

    @property
    def anchors(self) -> tuple[VerifierKey, ...]:
        """Return the keys the chain of trust starts from."""
        return self.given or self.exported


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was verified. `failure` is the first thing that did not hold; `breaks` are gaps in the key history."""

    verdict: Verdict
    entries: int
    root: bytes
    checkpoints: int
    disclosed: int = 0
    keys: tuple[VerifierKey, ...] = ()
    failure: Reason | None = None
    breaks: tuple[Reason, ...] = ()
    notices: tuple[Reason, ...] = ()


class Failed(Exception):
    """The first thing that did not hold."""

    def __init__(self, code: str, text: str, *, where: str, verdict: Verdict = Verdict.FAILED) -> None:
        super().__init__(text)
        self.reason = Reason(code=code, text=text, where=where)
        self.verdict = verdict


@dataclass(slots=True)
class _Findings:
    """What the walk over the entries collects."""

    frontier: Frontier = field(default_factory=Frontier)
    entries: int = 0
    disclosed: int = 0
    handovers: list[Handover] = field(default_factory=list)
    breaks: list[Reason] = field(default_factory=list)


def verify_log(
    entries: Iterable[LogEntry],
    *,
    checkpoints: Sequence[SignedCheckpoint],
    trust: Trust,
    disclosed: Iterable[DisclosedField] = (),
) -> Verification:
    """Verify a whole log: `entries` from seq 0 on, `disclosed` ordered by seq, both consumed once as streams."""
    found = _Findings()
    try:
        _walk(entries, found, checkpoints, iter(disclosed))
        _require_cover(found.frontier.size, checkpoints)
        keys = _require_signatures(checkpoints, trust, found.handovers)
    except Failed as failed:
        return _failure(failed, found, found.frontier.root(), len(checkpoints))
    return _success(found, found.frontier.root(), len(checkpoints), (keys, trust))


def verify_extract(
    entries: Iterable[LogEntry],
    *,
    checkpoint: SignedCheckpoint,
    trust: Trust,
    disclosed: Iterable[DisclosedField] = (),
) -> Verification:
    """Verify chosen entries, each by its inclusion proof in one checkpoint; `entries` ordered by seq."""
    found = _Findings()
    tree = checkpoint.checkpoint
    try:
        _walk_extract(entries, found, checkpoint, iter(disclosed))
        keys = _require_signatures([checkpoint], trust, found.handovers)
    except Failed as failed:
        return _failure(failed, found, tree.root, 1)
    return _success(found, tree.root, 1, (keys, trust))


def _walk(
    entries: Iterable[LogEntry],
    found: _Findings,
    checkpoints: Sequence[SignedCheckpoint],
    disclosed: Iterator[DisclosedField],
) -> None:
    roots: defaultdict[int, set[bytes]] = defaultdict(set)
    for note in checkpoints:
        roots[note.checkpoint.size].add(note.checkpoint.root)
    _require_root(roots[0], EMPTY_ROOT, 0)
    frontier = found.frontier
    opening = next(disclosed, None)
    for entry in entries:
        if entry.seq != frontier.size:
            raise _out_of_order(entry.seq, frontier.size)
        leaf = leaf_hash(entry.data)
        if leaf != entry.hash:
            raise _wrong_hash(entry.seq)
        frontier.append(leaf)
        found.entries += 1
        if frontier.size in roots:
            _require_root(roots[frontier.size], frontier.root(), frontier.size)
        if _OWN_ENTRY in entry.data:
            _read_own_entry(entry, found)
        while opening is not None and opening.seq <= entry.seq:
            opening = _open(opening, entry, found, disclosed)
    _require_all_opened(opening)


def _walk_extract(
    entries: Iterable[LogEntry], found: _Findings, note: SignedCheckpoint, disclosed: Iterator[DisclosedField]
) -> None:
    tree = note.checkpoint
    opening = next(disclosed, None)
    last = -1
    for entry in entries:
        if entry.seq <= last:
            raise _out_of_order(entry.seq, last + 1)
        last = entry.seq
        if leaf_hash(entry.data) != entry.hash:
            raise _wrong_hash(entry.seq)
        if not is_included(leaf=entry.hash, index=entry.seq, size=tree.size, proof=entry.proof, root=tree.root):
            text = f"The proof of entry {entry.seq} does not lead to the root of checkpoint {tree.size}."
            raise Failed("LEDGER_PROOF", text, where=f"seq {entry.seq}")
        found.entries += 1
        if _OWN_ENTRY in entry.data:
            _read_own_entry(entry, found)
        while opening is not None and opening.seq <= entry.seq:
            opening = _open(opening, entry, found, disclosed)
    _require_all_opened(opening)


def _out_of_order(seq: int, expected: int) -> Failed:
    where = f"seq {seq}"
    if seq < expected:
        text = f"Entry {seq} stands twice."
        return Failed("LEDGER_DUPLICATE", text, where=where, verdict=Verdict.UNREADABLE)
    return Failed("LEDGER_GAP", f"Entry {expected} is missing: {seq} follows.", where=f"seq {expected}")


def _wrong_hash(seq: int) -> Failed:
    return Failed("LEDGER_HASH", f"The bytes of entry {seq} do not have its leaf hash.", where=f"seq {seq}")


def _require_root(expected: set[bytes], root: bytes, size: int) -> None:
    if expected - {root}:
        text = f"Checkpoint {size} signs another root than its entries have: at least one of them was changed."
        raise Failed("LEDGER_ROOT", text, where=f"size {size}")


def _read_own_entry(entry: LogEntry, found: _Findings) -> None:
    try:
        decoded = decode_entry(entry.data)
    except EntryError as error:
        raise Failed("LEDGER_ENTRY", f"Entry {entry.seq}: {error}", where=f"seq {entry.seq}") from None
    handover = parse_handover(decoded.data)
    if handover is not None:
        found.handovers.append(handover)
    if decoded.kind in (EntryKind.LEDGER_KEY_LOST, EntryKind.LEDGER_EPOCH_OPENED):
        text = f"Entry {entry.seq} records a break: {decoded.kind} at {decoded.data.get('size')} entries."
        found.breaks.append(Reason(code="LEDGER_BREAK", text=text, where=f"seq {entry.seq}"))


def _open(
    opening: DisclosedField, entry: LogEntry, found: _Findings, rest: Iterator[DisclosedField]
) -> DisclosedField | None:
    where = f"seq {opening.seq}, field {opening.field}"
    if opening.seq != entry.seq:
        text = f"A disclosed field belongs to entry {opening.seq}, which is not here or out of order."
        raise Failed("LEDGER_DISCLOSED", text, where=where)
    try:
        committed = decode_entry(entry.data).commit.get(opening.field, "")
    except EntryError as error:
        raise Failed("LEDGER_ENTRY", f"Entry {entry.seq}: {error}", where=where) from None
    if not is_opened_by(committed, salt=opening.salt, value=opening.value):
        text = f"The disclosed {opening.field!r} of entry {entry.seq} does not open its commitment."
        raise Failed("LEDGER_DISCLOSED", text, where=where)
    found.disclosed += 1
    return next(rest, None)


def _require_all_opened(opening: DisclosedField | None) -> None:
    if opening is not None:
        text = f"A disclosed field belongs to entry {opening.seq}, which is not here."
        raise Failed("LEDGER_DISCLOSED", text, where=f"seq {opening.seq}, field {opening.field}")


def _require_cover(size: int, checkpoints: Sequence[SignedCheckpoint]) -> None:
    signed = max((note.checkpoint.size for note in checkpoints), default=-1)
    if signed > size:
        text = f"Entry {size} is missing: checkpoint {signed} signs {signed} entries, here are {size}."
        raise Failed("LEDGER_GAP", text, where=f"seq {size}")
    if signed < size or signed < 0:
        text = f"No signed checkpoint covers the entries from {max(signed, 0)} on; there are {size}."
        raise Failed("LEDGER_UNSIGNED", text, where=f"seq {max(signed, 0)}")


def _require_signatures(
    checkpoints: Sequence[SignedCheckpoint], trust: Trust, handovers: Sequence[Handover]
) -> tuple[VerifierKey, ...]:
    keys = trusted_keys(trust.anchors, handovers)
    for note in checkpoints:
        if not any(note.is_signed_by(key) for key in keys):
            tree = note.checkpoint
            text = f"Checkpoint {tree.size} of {tree.origin} carries no valid signature of a trusted key."
            raise Failed("LEDGER_SIGNATURE", text, where=f"size {tree.size}")
    strangers = [key for key in trust.exported if key not in keys]
    if strangers:
        text = f"The export names the key {strangers[0]}, which no given key vouches for. Give it with --key as well."
        raise Failed("LEDGER_KEY", text, where=f"key {strangers[0].id.hex()}")
    if not trust.given and not trust.accept_exported:
        text = "Everything holds, but only under the export's own key: whoever made it could have made the key too."
        raise Failed("LEDGER_KEY_NOT_GIVEN", f"{text} Give --key, or --trust-export-key.", where="key")
    return keys


def _failure(failed: Failed, found: _Findings, root: bytes, checkpoints: int) -> Verification:
    return Verification(
        verdict=failed.verdict,
        entries=found.entries,
        root=root,
        checkpoints=checkpoints,
        disclosed=found.disclosed,
        failure=failed.reason,
        breaks=tuple(found.breaks),
    )


def _success(
    found: _Findings, root: bytes, checkpoints: int, trusted: tuple[tuple[VerifierKey, ...], Trust]
) -> Verification:
    keys, trust = trusted
    text = "The key was taken from the export itself and trusted because --trust-export-key said so."
    notices = () if trust.given else (Reason(code="LEDGER_KEY_FROM_EXPORT", text=text),)
    return Verification(
        verdict=Verdict.VERIFIED,
        entries=found.entries,
        root=root,
        checkpoints=checkpoints,
        disclosed=found.disclosed,
        keys=keys,
        breaks=tuple(found.breaks),
        notices=notices,
    )
