"""The tree is RFC 9162's: the vectors of the specification, and every proof against an independent recursion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.ledger import tiles, tree
from pilotage.ledger.tile_audit import Fault, tile_faults

VECTOR = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES = [tree.leaf_hash(data) for data in VECTOR]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
}
INCLUSION_2_OF_7 = [
    "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
    ROOTS[2],
    "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
]
CONSISTENCY_3_TO_7 = ["0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7", *INCLUSION_2_OF_7]


def mth(data: Sequence[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = 1
    while k * 2 < len(data):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(data[:k]) + mth(data[k:])).digest()


def path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1, word for word."""
    if len(data) == 1:
        return []
    k = 1
    while k * 2 < len(data):
        k *= 2
    if m < k:
        return [*path(m, data[:k]), mth(data[k:])]
    return [*path(m - k, data[k:]), mth(data[:k])]


def subproof(m: int, data: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """RFC 6962 2.1.2, word for word."""
    if m == len(data):
        return [] if whole else [mth(data)]
    k = 1
    while k * 2 < len(data):
        k *= 2
    if m <= k:
        return [*subproof(m, data[:k], whole=whole), mth(data[k:])]
    return [*subproof(m - k, data[k:], whole=False), mth(data[:k])]


def data_of(size: int) -> list[bytes]:
    return [f"entry {number}".encode() for number in range(size)]


def stored(leaves: Sequence[bytes], *, step: int = 1_000) -> dict[tiles.Coordinate, bytes]:
    kept: dict[tiles.Coordinate, bytes] = {}
    for start in range(0, len(leaves), step):
        kept.update(tiles.extend(start, tiles.reader_of(kept), leaves[start : start + step]))
    return kept


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_the_specification(size: int) -> None:
    assert tree.root_of(LEAVES[:size]).hex() == ROOTS[size]
    assert tiles.root(tiles.reader_of(stored(LEAVES[:size])), size).hex() == ROOTS[size]


def test_the_inclusion_proof_is_that_of_the_specification() -> None:
    proof = tree.inclusion_proof(LEAVES, 2)
    assert [step.hex() for step in proof] == INCLUSION_2_OF_7
    assert tree.is_included(leaf=LEAVES[2], index=2, size=7, proof=proof, root=bytes.fromhex(ROOTS[7]))


def test_the_consistency_proof_is_that_of_the_specification() -> None:
    proof = tree.consistency_proof(LEAVES, 3)
    assert [step.hex() for step in proof] == CONSISTENCY_3_TO_7
    roots = {"old_root": bytes.fromhex(ROOTS[3]), "new_root": bytes.fromhex(ROOTS[7])}
    assert tree.is_consistent(old=3, new=7, proof=proof, **roots)


@given(st.data())
def test_every_proof_equals_the_rfc_and_verifies_from_memory_and_from_tiles(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(1, 300))
    data = data_of(size)
    leaves = [tree.leaf_hash(item) for item in data]
    read = tiles.cached(tiles.reader_of(stored(leaves, step=draw.draw(st.integers(1, 300)))))
    index = draw.draw(st.integers(0, size - 1))
    old = draw.draw(st.integers(0, size))
    proof = tree.inclusion_proof(leaves, index)
    assert list(proof) == path(index, data)
    assert tiles.inclusion_proof(read, index, size) == proof
    assert tiles.leaf_at(read, index) == leaves[index]
    assert tree.is_included(leaf=leaves[index], index=index, size=size, proof=proof, root=mth(data))
    consistent = tree.consistency_proof(leaves, old)
    assert list(consistent) == (subproof(old, data, whole=True) if old else [])
    assert tiles.consistency_proof(read, old, size) == consistent
    roots = {"old_root": mth(data[:old]), "new_root": mth(data)}
    assert tree.is_consistent(old=old, new=size, proof=consistent, **roots)


@given(st.data())
def test_a_changed_proof_never_verifies(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(2, 70))
    leaves = [tree.leaf_hash(item) for item in data_of(size)]
    root = tree.root_of(leaves)
    index = draw.draw(st.integers(0, size - 1))
    old = draw.draw(st.integers(1, size))
    old_root = tree.root_of(leaves[:old])
    cases: list[tuple[tuple[bytes, ...], Callable[[Sequence[bytes]], bool]]] = [
        (
            tree.inclusion_proof(leaves, index),
            lambda steps: tree.is_included(leaf=leaves[index], index=index, size=size, proof=steps, root=root),
        ),
        (
            tree.consistency_proof(leaves, old),
            lambda steps: tree.is_consistent(old=old, new=size, proof=steps, old_root=old_root, new_root=root),
        ),
    ]
    for proof, holds in cases:
        extra = draw.draw(st.binary(min_size=32, max_size=32))
        assert not holds([*proof, extra])
        if proof:
            place = draw.draw(st.integers(0, len(proof) - 1))
            assert not holds([*proof[:place], *proof[place + 1 :]])
            flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
            assert not holds([*proof[:place], flipped, *proof[place + 1 :]])
    assert not tree.is_included(leaf=leaves[index], index=size, size=size, proof=(), root=root)
    assert not tree.is_included(
        leaf=leaves[index], index=(index + 1) % size, size=size, proof=tree.inclusion_proof(leaves, index), root=root
    )


def test_nonsense_sizes_are_refused_or_false() -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        tree.inclusion_proof(LEAVES, 7)
    with pytest.raises(ValueError, match="cannot be consistent"):
        tree.consistency_proof(LEAVES, 8)
    assert not tree.is_consistent(old=3, new=2, proof=(), old_root=b"", new_root=b"")
    assert not tree.is_consistent(old=3, new=7, proof=(), old_root=b"", new_root=b"")
    assert not tree.is_consistent(old=0, new=7, proof=(), old_root=b"x", new_root=b"")
    assert tree.is_consistent(old=0, new=7, proof=(), old_root=tree.EMPTY_ROOT, new_root=b"any")


@settings(max_examples=2, deadline=None)
@given(st.integers(65_000, 66_500), st.integers(400, 3_000))
def test_three_levels_of_tiles_give_the_root_of_the_leaves(size: int, step: int) -> None:
    leaves = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(size)]
    kept = stored(leaves, step=step)
    read = tiles.reader_of(kept)
    assert tiles.root(read, size) == tree.root_of(leaves)
    for index in (0, 255, 256, size // 2, size - 1):
        proof = tiles.inclusion_proof(read, index, size)
        assert tree.is_included(leaf=leaves[index], index=index, size=size, proof=proof, root=tree.root_of(leaves))
    assert list(tile_faults(read, size)) == []
    assert all(len(kept[place]) == width * 32 for place, width in tiles.tile_widths(size).items())


@pytest.mark.parametrize(
    ("size", "widths"),
    [(0, {}), (1, {(0, 0): 1}), (256, {(1, 0): 1}), (257, {(0, 1): 1, (1, 0): 1}), (65_536, {(2, 0): 1})],
)
def test_the_last_tile_of_a_level_is_named_unless_it_is_full(size: int, widths: dict[tuple[int, int], int]) -> None:
    assert tiles.tile_widths(size) == widths


def test_a_full_tile_is_never_written_again() -> None:
    leaves = [tree.leaf_hash(item) for item in data_of(600)]
    kept = stored(leaves[:512])
    grown = tiles.extend(512, tiles.reader_of(kept), leaves[512:])
    assert set(grown) == {(0, 2)}


def test_a_short_tile_gives_no_proof() -> None:
    leaves = [tree.leaf_hash(item) for item in data_of(40)]
    kept = stored(leaves)
    kept[0, 0] = kept[0, 0][:-1]
    with pytest.raises(tiles.TileError, match="holds 39 hashes; the tree needs 40"):
        tiles.root(tiles.reader_of(kept), 40)


def test_the_audit_names_every_changed_hash_and_missing_tile() -> None:
    leaves = [tree.leaf_hash(item) for item in data_of(600)]
    kept = stored(leaves)
    assert list(tile_faults(tiles.reader_of(kept), 600)) == []
    changed = kept | {(1, 0): kept[1, 0][:32] + bytes(32)}
    assert list(tile_faults(tiles.reader_of(changed), 600)) == [Fault(level=1, index=0, place=1)]
    missing = {place: tile for place, tile in kept.items() if place != (0, 0)}
    assert list(tile_faults(tiles.reader_of(missing), 600)) == [
        Fault(level=0, index=0, place=-1),
        Fault(level=1, index=0, place=0),
    ]
    assert list(tile_faults(tiles.reader_of({}), 0)) == []
