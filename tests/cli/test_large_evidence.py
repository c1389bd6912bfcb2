"""A file of half a gigabyte is refused as evidence with its size, and nobody holds it in memory for that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LARGE = 500 * 1024 * 1024
_PEAK = (
    "import resource, subprocess, sys\n"
    "code = subprocess.run(sys.argv[1:]).returncode\n"
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
)


def peak_kib(*words: str) -> tuple[int, int, str]:
    """Run a command; return its exit code, the most memory it held in KiB, and what it printed."""
    command = [sys.executable, "-m", "pilotage", *words]
    done = subprocess.run([sys.executable, "-c", _PEAK, *command], capture_output=True, text=True, check=True)
    code, peak = done.stderr.splitlines()[-1].split()
    return int(code), int(peak), done.stdout


def test_half_a_gigabyte_is_refused_with_its_size_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "report.xml"
    with file.open("wb") as sparse:
        sparse.truncate(LARGE)
    _, ordinary, _ = peak_kib("evidence", "add", "--help")
    for words in ((str(file),), (__file__, "--attestation", str(file))):
        code, peak, said = peak_kib("evidence", "add", "0123456789", *words, "--json")
        (reason,) = json.loads(said)["reasons"]
        assert (code, reason["code"], reason["observed"]) == (1, "EV_TOO_LARGE", f"{LARGE} B")
        assert "500" not in reason["limit"]
        assert "524,288,000 bytes" in reason["text"]
        assert peak < ordinary + 40 * 1024, "a file that is refused for its size is not read"
