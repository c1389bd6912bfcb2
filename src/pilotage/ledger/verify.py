"""Verifying a log from its entries alone: leaves, the root of every checkpoint, signatures, disclosures, key history.

Pure: parsed records in, a Verification out, nothing but the keys the caller trusts. Roots at every checkpoint are
recomputed from the leaves, which proves their consistency with each other. Rule: every entry must stand under a signed
checkpoint of a trusted key. Fail mode: the first failing seq or size is named; nothing missing ever counts as verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pilotage.core.reason import Reason
from pilotage.ledger.checkpoint import Checkpoint, SignedCheckpoint, VerifierKey
from pilotage.ledger.commitment import is_opened_by
from pilotage.ledger.entry import EntryError, decode_entry
from pilotage.ledger.handover import Handover, may_sign, parse_handover, trusted_keys
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

    def as_json(self) -> dict[str, object]:
        """Return the result of `pilotage ledger verify`."""
        return {
            "verified": self.verdict is Verdict.VERIFIED,
            "verdict": self.verdict.value,
            "entries": self.entries,
            "root": f"sha256:{self.root.hex()}" if self.root else None,
            "checkpoints": self.checkpoints,
            "disclosed": self.disclosed,
            "keys": [str(key) for key in self.keys],
            "failure": None if self.failure is None else self.failure.as_json(),
            "breaks": [reason.as_json() for reason in self.breaks],
            "notices": [reason.as_json() for reason in self.notices],
        }


class Failed(Exception):
    """The first thing that did not hold."""

    def __init__(self, code: str, text: str, *, where: str, verdict: Verdict = Verdict.FAILED) -> None:
        super().__init__(text)
        self.reason = Reason(code=code, text=text, where=where)
        self.verdict = verdict


class _Notes:
    """The checkpoints, smallest first, each met when the tree has its size; `waiting` for a key trusted later on.

    `first` and `last` are the smallest and largest trees that each trusted key was seen to sign.
    """

    def __init__(self, notes: Iterable[SignedCheckpoint], trust: Trust) -> None:
        self._rest = iter(notes)
        self._trust = trust
        self._handovers: list[Handover] = []
        self.keys = trust.anchors
        self.waiting: list[SignedCheckpoint] = []
        self.first: dict[VerifierKey, Checkpoint] = {}
        self.last: dict[VerifierKey, Checkpoint] = {}
        self.count = 0
        self.signed = -1
        self.next = next(self._rest, None)

    def is_due(self, size: int) -> bool:
        """Tell whether a checkpoint signs the tree of this size."""
        return self.next is not None and self.next.checkpoint.size <= size

    def meet(self, size: int, root: bytes) -> None:
        """Compare every checkpoint of this size with the root the entries give."""
        while self.next is not None and self.next.checkpoint.size <= size:
            tree = self.next.checkpoint
            if tree.size != size:
                text = f"Checkpoint {tree.size} is out of order."
                raise Failed("LEDGER_CHECKPOINT_ORDER", text, where=f"size {tree.size}")
            if tree.root != root:
                text = f"Checkpoint {size} signs another root than its entries have: at least one of them was changed."
                raise Failed("LEDGER_ROOT", text, where=f"size {size}")
            self._check_signature(self.next)
            self.signed, self.count = size, self.count + 1
            self.next = next(self._rest, None)

    def meets_at(self, handover: Handover) -> bool:
        """Tell whether the tree both keys met at is one of this log's, as a checkpoint of that size shows."""
        seen = [*self.first.values(), *(note.checkpoint for note in self.waiting)]
        return any((one.size, one.root) == (handover.size, handover.root) for one in seen)

    def hand_over(self, handover: Handover) -> None:
        """Let trust pass on, and judge again what waited for it."""
        self._handovers.append(handover)
        self.keys = trusted_keys(self._trust.anchors, self._handovers)
        late = self.last.get(handover.old)
        if late is not None and late.size > handover.size:
            text = f"Checkpoint {late.size} is signed by a key that was handed over at {handover.size} entries."
            raise Failed("LEDGER_SIGNATURE", text, where=f"size {late.size}")
        waiting, self.waiting = self.waiting, []
        for note in waiting:
            self._check_signature(note)

    def _check_signature(self, note: SignedCheckpoint) -> None:
        tree = note.checkpoint
        for key in self.keys:
            if note.is_signed_by(key) and may_sign(key, tree.size, self._handovers):
                self.first.setdefault(key, tree)
                self.last[key] = tree
                return
        self.waiting.append(note)

    def require_all(self, size: int) -> None:
        """Require that the tree of `size` is signed to its end, by trusted keys only."""
        if self.next is not None:
            more = self.next.checkpoint.size
            text = f"Entry {size} is missing: checkpoint {more} signs {more} entries, here are {size}."
            raise Failed("LEDGER_GAP", text, where=f"seq {size}")
        if self.signed < size:
            text = f"No signed checkpoint covers the entries from {max(self.signed, 0)} on; there are {size}."
            raise Failed("LEDGER_UNSIGNED", text, where=f"seq {max(self.signed, 0)}")
        if self.waiting:
            tree = self.waiting[0].checkpoint
            text = f"Checkpoint {tree.size} of {tree.origin} carries no valid signature of a trusted key."
            raise Failed("LEDGER_SIGNATURE", text, where=f"size {tree.size}")
        _require_trust(self._trust, self.keys)


@dataclass(slots=True)
class _Findings:
    """What the walk over the entries collects."""

    notes: _Notes
    is_extract: bool = False
    frontier: Frontier = field(default_factory=Frontier)
    entries: int = 0
    disclosed: int = 0
    breaks: list[Reason] = field(default_factory=list)

    def has_tree_of(self, handover: Handover) -> bool:
        """Tell whether the keys met here; an extract has one checkpoint, so the proof of the entry has to do there."""
        return self.is_extract or self.notes.meets_at(handover)


def verify_log(
    entries: Iterable[LogEntry],
    *,
    checkpoints: Iterable[SignedCheckpoint],
    trust: Trust,
    disclosed: Iterable[DisclosedField] = (),
) -> Verification:
    """Verify a whole log: entries from seq 0 on, checkpoints by size, disclosed by seq; each read once, as a stream."""
    found = _Findings(notes=_Notes(checkpoints, trust))
    try:
        _walk(entries, found, iter(disclosed))
        found.notes.require_all(found.frontier.size)
    except Failed as failed:
        return _result(found, found.frontier.root(), trust, failed)
    return _result(found, found.frontier.root(), trust)


def verify_extract(
    entries: Iterable[LogEntry],
    *,
    checkpoint: SignedCheckpoint,
    trust: Trust,
    disclosed: Iterable[DisclosedField] = (),
) -> Verification:
    """Verify chosen entries, each by its inclusion proof in one checkpoint; `entries` ordered by seq."""
    tree = checkpoint.checkpoint
    found = _Findings(notes=_Notes([checkpoint], trust), is_extract=True)
    try:
        found.notes.meet(tree.size, tree.root)
        _walk_extract(entries, found, checkpoint, iter(disclosed))
        found.notes.require_all(tree.size)
    except Failed as failed:
        return _result(found, tree.root, trust, failed)
    return _result(found, tree.root, trust)


def _walk(entries: Iterable[LogEntry], found: _Findings, disclosed: Iterator[DisclosedField]) -> None:
    frontier, notes = found.frontier, found.notes
    notes.meet(0, EMPTY_ROOT)
    opening = next(disclosed, None)
    for entry in entries:
        if entry.seq != frontier.size:
            raise _out_of_order(entry.seq, frontier.size)
        leaf = leaf_hash(entry.data)
        if leaf != entry.hash:
            raise _wrong_hash(entry.seq)
        frontier.append(leaf)
        found.entries += 1
        if notes.is_due(frontier.size):
            notes.meet(frontier.size, frontier.root())
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
    if not found.entries:
        raise Failed("LEDGER_EMPTY", "The extract holds no entry, so it proves nothing.", where="seq 0")
    _require_all_opened(opening)


def _out_of_order(seq: int, expected: int) -> Failed:
    where = f"seq {seq}"
    if seq < expected:
        text = f"Entry {seq} stands twice."
        return Failed("LEDGER_DUPLICATE", text, where=where, verdict=Verdict.UNREADABLE)
    return Failed("LEDGER_GAP", f"Entry {expected} is missing: {seq} follows.", where=f"seq {expected}")


def _wrong_hash(seq: int) -> Failed:
    return Failed("LEDGER_HASH", f"The bytes of entry {seq} do not have its leaf hash.", where=f"seq {seq}")


def _read_own_entry(entry: LogEntry, found: _Findings) -> None:
    try:
        decoded = decode_entry(entry.data)
    except EntryError as error:
        raise Failed("LEDGER_ENTRY", f"Entry {entry.seq}: {error}", where=f"seq {entry.seq}") from None
    handover = parse_handover(decoded.data)
    if handover is not None and handover.is_valid() and handover.size <= entry.seq and found.has_tree_of(handover):
        found.notes.hand_over(handover)
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


def _require_trust(trust: Trust, keys: Sequence[VerifierKey]) -> None:
    strangers = [key for key in trust.exported if key not in keys]
    if strangers:
        text = f"The export names the key {strangers[0]}, which no given key vouches for. Give it with --key as well."
        raise Failed("LEDGER_KEY", text, where=f"key {strangers[0].id.hex()}")
    if not trust.given and not trust.accept_exported:
        text = "Everything holds, but only under the export's own key: whoever made it could have made the key too."
        raise Failed("LEDGER_KEY_NOT_GIVEN", f"{text} Give --key, or --trust-export-key.", where="key")


def _result(found: _Findings, root: bytes, trust: Trust, failed: Failed | None = None) -> Verification:
    text = "The key was taken from the export itself and trusted because --trust-export-key said so."
    told = failed is None and not trust.given
    return Verification(
        verdict=Verdict.VERIFIED if failed is None else failed.verdict,
        entries=found.entries,
        root=root,
        checkpoints=found.notes.count,
        disclosed=found.disclosed,
        keys=found.notes.keys if failed is None else (),
        failure=None if failed is None else failed.reason,
        breaks=tuple(found.breaks),
        notices=(Reason(code="LEDGER_KEY_FROM_EXPORT", text=text),) if told else (),
    )
