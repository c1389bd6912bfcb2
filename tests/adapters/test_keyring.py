"""Keys are created only on request, never replaced, never readable by others, and never in the clear on disk."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pilotage.adapters.keyring import Keyring
from pilotage.core.errors import Conflict, IntegrityError, PilotageError, Unavailable, UsageError

MASTER = bytes(range(32))
HEX = MASTER.hex()


def opened(home: Path) -> Keyring:
    return Keyring.open(home, {"PILOTAGE_MASTER_KEY": HEX})


def test_a_home_without_a_master_key_says_what_to_do_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="There is no master key"):
        Keyring.open(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_a_created_master_key_is_private_told_and_found_again(tmp_path: Path) -> None:
    first = Keyring.open(tmp_path, {}, create=True)
    again = Keyring.open(tmp_path, {}, create=True)
    assert (first.created, again.created) == (True, False)
    assert first.derive("x") == again.derive("x")
    assert (tmp_path / "keys" / "master").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    assert base64.b64encode(first.master).decode() not in repr(first)


@pytest.mark.parametrize("form", ["hex", "base64", "env", "file"])
def test_every_way_to_give_the_master_key_gives_the_same_keys(tmp_path: Path, form: str) -> None:
    path = tmp_path / "secret"
    path.write_text(HEX + "\n")
    path.chmod(0o600)
    value = {"hex": HEX, "base64": base64.b64encode(MASTER).decode(), "env": "env:KMS", "file": f"file:{path}"}[form]
    ring = Keyring.open(tmp_path, {"PILOTAGE_MASTER_KEY": value, "KMS": HEX}, create=True)
    assert ring.derive("pii") == opened(tmp_path).derive("pii")
    assert not ring.created
    assert HEX not in ring.source


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("short", UsageError),
        ("env:NOTHING", Unavailable),
        ("file:/does/not/exist", Unavailable),
        ("z" * 64, UsageError),
    ],
)
def test_a_master_key_that_is_none_is_refused_without_being_shown(
    tmp_path: Path, value: str, error: type[PilotageError]
) -> None:
    with pytest.raises(error) as raised:
        Keyring.open(tmp_path, {"PILOTAGE_MASTER_KEY": value})
    assert "z" * 64 not in str(raised.value)


def test_a_master_key_others_may_read_is_refused(tmp_path: Path) -> None:
    Keyring.open(tmp_path, {}, create=True)
    (tmp_path / "keys" / "master").chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        Keyring.open(tmp_path, {})


def test_derived_keys_differ_by_purpose_and_need_one(tmp_path: Path) -> None:
    ring = opened(tmp_path)
    assert len(ring.derive("a")) == 32
    assert ring.derive("a") != ring.derive("b")
    with pytest.raises(UsageError, match="needs a purpose"):
        ring.derive("")


def test_a_signing_key_signs_and_is_encrypted_on_disk(tmp_path: Path) -> None:
    ring = opened(tmp_path)
    public = ring.create("instance")
    Ed25519PublicKey.from_public_bytes(public).verify(ring.sign("instance", b"data"), b"data")
    assert ring.public("instance") == opened(tmp_path).public("instance") == public
    assert ring.names() == ("instance",)
    assert ring.fingerprint("instance").startswith("sha256:")
    assert (tmp_path / "keys" / "instance.json").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    ring = opened(tmp_path)
    public = ring.create("ledger")
    with pytest.raises(Conflict):
        ring.create("ledger")
    with pytest.raises(Conflict):
        ring.adopt("ledger", MASTER)
    assert not ring.ensure("ledger")
    assert ring.public("ledger") == public


def test_an_adopted_seed_gives_its_key(tmp_path: Path) -> None:
    ring = opened(tmp_path)
    assert ring.adopt("test", MASTER) == ring.public("test")


def test_two_processes_that_ensure_one_key_agree(tmp_path: Path) -> None:
    created: list[bool] = []
    threads = [threading.Thread(target=lambda: created.append(opened(tmp_path).ensure("ledger"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 7 + [True]
    assert len(list((tmp_path / "keys").iterdir())) == 1


def test_a_lost_key_is_named_with_the_ways_out_and_never_made_anew(tmp_path: Path) -> None:
    ring = opened(tmp_path)
    with pytest.raises(Unavailable, match="Restore the file"):
        ring.sign("instance", b"")
    with pytest.raises(Unavailable, match="Two ways out"):
        ring.public("ledger")
    assert not ring.has("ledger")


def test_another_master_key_does_not_open_it(tmp_path: Path) -> None:
    opened(tmp_path).create("ledger")
    other = Keyring.open(tmp_path, {"PILOTAGE_MASTER_KEY": "11" * 32})
    with pytest.raises(IntegrityError, match="does not open with this master key"):
        other.sign("ledger", b"")


def swap_name(folder: Path) -> None:
    (folder / "ledger.json").write_bytes((folder / "instance.json").read_bytes())


def swap_public(folder: Path) -> None:
    fields = json.loads((folder / "ledger.json").read_bytes())
    fields["public"] = json.loads((folder / "instance.json").read_bytes())["public"]
    (folder / "ledger.json").write_text(json.dumps(fields))


@pytest.mark.parametrize(
    "damage",
    [
        swap_name,
        swap_public,
        lambda folder: (folder / "ledger.json").write_text("{}"),
        lambda folder: (folder / "ledger.json").write_text("not json"),
        lambda folder: (folder / "ledger.json").write_text('{"public":1,"nonce":1,"sealed":1}'),
    ],
)
def test_a_changed_key_file_never_signs(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    ring = opened(tmp_path)
    ring.create("ledger")
    ring.create("instance")
    damage(tmp_path / "keys")
    with pytest.raises(IntegrityError):
        ring.sign("ledger", b"")


@pytest.mark.parametrize("name", ["", "../x", "master", "A", "a" * 41])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        opened(tmp_path).create(name)
