"""Which demands of the mission a test proves: `make features [ARGUMENTS="--open SECTION"]`.

`docs/reference/mission.tsv` holds a row for each line of the two mission documents and for each outside system. A row
is done when a test names its id by `@pytest.mark.feature("D5.12")`; `tests/features_done.txt` keeps the ids that were
done once, so that none is lost again. `--update` writes that list.
"""

from __future__ import annotations

import argparse
import ast
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "docs" / "reference" / "mission.tsv"
DONE = ROOT / "tests" / "features_done.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One demand. `line` of its document, empty for an outside system; `proof`: by machine M, file E, person S."""

    id: str
    line: str
    asked: str
    done: str
    where: str
    proof: str

    @property
    def section(self) -> str:
        """The letters and week before the running number: `D5` of `D5.12`, `X` of `X3`."""
        return self.id.rpartition(".")[0] or self.id.rstrip("0123456789")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A test that names rows: its file below the root, and its name."""

    path: Path
    test: str
    ids: tuple[str, ...]


def rows() -> list[Row]:
    """Return every row in the order of the mission."""
    with ROWS.open(encoding="utf-8", newline="") as text:
        return [Row(**row) for row in csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)]


def proofs() -> list[Proof]:
    """Return every test that names rows, by reading the test files."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [proof for path in paths for proof in _proofs_in(path)]


def _proofs_in(path: Path) -> Iterator[Proof]:
    text = path.read_text(encoding="utf-8")
    if "mark.feature(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            ids = tuple(one for decorator in node.decorator_list for one in _ids(decorator))
            if ids:
                yield Proof(path=path.relative_to(ROOT), test=node.name, ids=ids)


def _ids(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.feature":
        yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def by_id(found: Sequence[Proof]) -> Mapping[str, list[Proof]]:
    """Return the tests of each id that a test names."""
    named: dict[str, list[Proof]] = {}
    for proof in found:
        for one in proof.ids:
            named.setdefault(one, []).append(proof)
    return named


def once_done() -> set[str]:
    """Return the ids that were done before."""
    return set(DONE.read_text(encoding="utf-8").split())


def table() -> Iterator[str]:
    """Yield a line for each section: how many rows are done, and how many there are."""
    named = by_id(proofs())
    sections: dict[str, list[Row]] = {}
    for row in rows():
        sections.setdefault(row.section, []).append(row)
    for section, some in sections.items():
        yield f"{section:<4} {sum(row.id in named for row in some):>4} of {len(some):>3} done"
    done = sum(row.id in named for some in sections.values() for row in some)
    yield f"all  {done:>4} of {sum(map(len, sections.values())):>3} done"


def still_open(section: str) -> Iterator[str]:
    """Yield the rows of a section that no test proves."""
    named = by_id(proofs())
    for row in rows():
        if row.section == section and row.id not in named:
            yield f"{row.id:<7} {row.asked} -> {row.done} ({row.where})"


def main() -> None:
    """Print what is done and what is open."""
    parser = argparse.ArgumentParser(description="Which demands of the mission a test proves.")
    parser.add_argument("--open", metavar="SECTION", help="the open rows of a section, D13 say")
    parser.add_argument("--update", action="store_true", help=f"write {DONE.relative_to(ROOT)}")
    chosen = parser.parse_args()
    if chosen.update:
        order = [row.id for row in rows()]
        DONE.write_text("".join(f"{one}\n" for one in sorted(by_id(proofs()), key=order.index)), encoding="utf-8")
    sys.stdout.write("\n".join(still_open(chosen.open) if chosen.open else table()) + "\n")


if __name__ == "__main__":
    main()
