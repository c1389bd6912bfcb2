"""Runs every benchmark, one after the other, and keeps going: `python -m benchmarks [NAME ...]`.

Each prints a Markdown table of ratios and exits 1 below a goal marked "must"; this command then does so too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> None:
    """Run the named benchmarks, or all."""
    names = sys.argv[1:] or sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    failed = []
    for name in names:
        print(f"\n## {name}\n", flush=True)
        done = subprocess.run([sys.executable, str(FOLDER / f"bench_{name}.py")], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nBelow a goal, or failed: {', '.join(failed)}")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
