"""Which findings a vulnerability exchange (VEX) clears: the only way past a scanner's word besides a risk acceptance.

Rule (gates.md 2.6): a statement clears a finding when it says `not_affected` or `false_positive` with a justification,
comes at trust pushed or attested, names the finding's advisory, and its `affects` is a component of this subject's bill
of material and the finding's own. Fail mode: whatever does not match in all four stays open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pilotage.evidence.records import Evidence, EvidenceState, ToolFinding
from pilotage.workspace.gate import Trust

_BOM_LINK = re.compile(r"\Aurn:cdx:[^#]+#", re.IGNORECASE)
_STATEMENTS = "vex_statements"
_COMPONENTS = "components"


@dataclass(frozen=True, slots=True, kw_only=True)
class VexStatement:
    """One statement with a justification: these advisories do not affect the component known by these names."""

    advisories: tuple[str, ...]
    components: tuple[str, ...]

    def as_text(self) -> str:
        """Return the one-line form kept in `Evidence.names`."""
        return json.dumps([list(self.advisories), list(self.components)], ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> VexStatement:
        """Read `as_text` back; raise ValueError for anything else."""
        value = json.loads(text)
        match value:
            case [[*advisories], [*components]]:
                return cls(advisories=tuple(map(str, advisories)), components=tuple(map(str, components)))
            case _:
                message = f"{text[:80]!r} is no statement."
                raise ValueError(message)


def component_names(*, name: str = "", version: str = "", purl: str = "", ref: str = "") -> tuple[str, ...]:
    """Return the names a component goes by, lower case: `name@version` and package URLs without qualifiers.

    A reference from another file (`urn:cdx:<serial>/<version>#<ref>`) counts by the part after `#`.
    """
    own = _BOM_LINK.sub("", ref, count=1)
    found = [f"{name}@{version}" if name and version else "", *(_of_purl(one) for one in (purl, own))]
    found.append(own)
    return tuple(dict.fromkeys(one.strip().lower() for one in found if one.strip()))


def still_open(
    findings: Iterable[ToolFinding], statements: Sequence[VexStatement], components: frozenset[str]
) -> tuple[ToolFinding, ...]:
    """Return the findings that no statement clears. `components` are all names of the subject's bill of material."""
    by_advisory: dict[str, list[VexStatement]] = {}
    for statement in statements:
        for advisory in statement.advisories:
            by_advisory.setdefault(advisory.lower(), []).append(statement)
    return tuple(
        one
        for one in findings
        if not any(_clears(statement, one, components) for statement in by_advisory.get(one.rule.lower(), ()))
    )


def open_findings(scan: Evidence, vex: Iterable[Evidence], boms: Iterable[Evidence]) -> tuple[ToolFinding, ...]:
    """Return a scan's findings that are still open, given the current VEX and SBOM evidence of the same subject."""
    inventories = [one for one in boms if one.kind == "sbom" and one.state is EvidenceState.ACCEPTED]
    components = frozenset(name for one in inventories for name in one.names.get(_COMPONENTS, ()))
    statements = [
        VexStatement.from_text(text)
        for one in vex
        if one.kind == "vex" and one.state is EvidenceState.ACCEPTED and one.trust.rank >= Trust.PUSHED.rank
        for text in one.names.get(_STATEMENTS, ())
    ]
    return still_open(scan.findings, statements, components)


def open_claims(scan: Evidence, vex: Iterable[Evidence], boms: Iterable[Evidence]) -> dict[str, float]:
    """Return a scan's claims as a criterion should see them: each cleared finding is taken off its severity.

    `suppressed` and the rest stay as the scanner said. Counts beyond the listed findings stay too: what is not listed
    cannot be cleared.
    """
    claims = dict(scan.claims)
    still = set(open_findings(scan, vex, boms))
    for finding in scan.findings:
        if finding not in still and finding.severity.value in claims:
            claims[finding.severity.value] = max(0.0, claims[finding.severity.value] - 1)
    return claims


def _clears(statement: VexStatement, finding: ToolFinding, components: frozenset[str]) -> bool:
    """Tell whether a statement about the finding's advisory is about its component too, and that is one of ours."""
    if not components.intersection(statement.components):
        return False
    own = component_names(name=finding.component, version=finding.version, ref=finding.component)
    if set(own).intersection(statement.components):
        return True
    # Scanners write `group:name` or `name`, package URLs `pkg:type/group/name@version`: the last step is the same.
    tail = re.split(r"[:/]", own[0])[-1] if own and finding.version else ""
    return "@" in tail and tail in {one.rpartition("/")[2] for one in statement.components if one.startswith("pkg:")}


def _of_purl(text: str) -> str:
    if not text.startswith("pkg:"):
        return ""
    return unquote(re.split(r"[?#]", text, maxsplit=1)[0])
