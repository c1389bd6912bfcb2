"""Public tools verify what we sign: OpenSSL the signature, Go's checksum database the note and both proofs.

Each part is skipped where its tool is not installed. The Go code is the toolchain's own copy of golang.org/x/mod/sumdb,
the reference implementation of the signed note; nothing is downloaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pilotage.ledger.checkpoint import Checkpoint, VerifierKey, signed
from pilotage.ledger.tree import consistency_proof, inclusion_proof, leaf_hash, root_of

SIZE, INDEX, OLD = 1_000, 617, 300
LEAVES = [leaf_hash(f"entry {number}".encode()) for number in range(SIZE)]
PRIVATE = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"pilotage test key 1").digest())
KEY = VerifierKey(name="ledger.sample-bank.example", public=PRIVATE.public_key().public_bytes_raw())
TREE = Checkpoint(origin=KEY.name, size=SIZE, root=root_of(LEAVES))
NOTE = signed(TREE, KEY, PRIVATE.sign(TREE.text()))


def test_openssl_verifies_the_signature_of_a_checkpoint(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    pem = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    text, _, line = NOTE.note().rpartition(b"\n\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(line.split()[2])[4:])
    command = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text", "-sigfile"]
    for content, code in ((text + b"\n", 0), (text.replace(b"1000", b"1001") + b"\n", 1)):
        (tmp_path / "text").write_bytes(content)
        done = subprocess.run([*command, "signature"], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == code


@pytest.fixture(scope="module")
def go_verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier in Go, compiled from the toolchain's copy of sumdb."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    sumdb = Path(root) / "src" / "cmd" / "vendor" / "golang.org" / "x" / "mod" / "sumdb"
    if not (sumdb / "note" / "note.go").exists():
        pytest.skip("this Go has no copy of golang.org/x/mod/sumdb")
    folder = tmp_path_factory.mktemp("go")
    for package in ("note", "tlog"):
        shutil.copytree(sumdb / package, folder / package)
    shutil.copy(Path(__file__).parent / "independent" / "main.go", folder)
    (folder / "go.mod").write_text("module independent\n")
    environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    subprocess.run([go, "build", "-o", "verifier", "."], cwd=folder, env=environment, check=True)
    return folder / "verifier"


def run(verifier: Path, **changes: object) -> tuple[int, str]:
    def written(hashes: tuple[bytes, ...]) -> list[str]:
        return [base64.b64encode(item).decode() for item in hashes]

    document = {
        "key": str(KEY),
        "note": NOTE.note().decode(),
        "leaf": base64.b64encode(LEAVES[INDEX]).decode(),
        "index": INDEX,
        "inclusion": written(inclusion_proof(LEAVES, INDEX)),
        "oldSize": OLD,
        "oldRoot": base64.b64encode(root_of(LEAVES[:OLD])).decode(),
        "consistency": written(consistency_proof(LEAVES, OLD)),
        **changes,
    }
    done = subprocess.run([verifier], input=json.dumps(document), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def test_go_s_checksum_database_verifies_note_inclusion_and_consistency(go_verifier: Path) -> None:
    assert run(go_verifier) == (0, f"verified {KEY.name} {SIZE}")


def test_it_refuses_a_changed_note_and_changed_proofs(go_verifier: Path) -> None:
    for changes in (
        {"note": NOTE.note().decode().replace("1000", "1001")},
        {"index": INDEX + 1},
        {"oldSize": OLD + 1},
    ):
        assert run(go_verifier, **changes)[0] == 1
