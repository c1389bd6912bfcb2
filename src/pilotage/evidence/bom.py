"""A bill of material as frozen records, whichever format it came in, and the reading made of it (gates.md 2.6).

Rule: every component counts, nested ones included; a component's licences all apply. Fail mode: no component is
EV_EMPTY for `sbom` and `licences`, no vulnerability EV_EMPTY for `vex`; a licence nobody can judge is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pilotage.evidence.licences import Standing, all_of, judge_expression, judge_name
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, distinct, nothing_scanned, scan_reading, severity_claims
from pilotage.evidence.vex import VexStatement, component_names

COMPONENTS = "components"
"""Key in `Reading.names`: what the release consists of, as `vex.component_names` writes it."""
STATEMENTS = "vex_statements"
"""Key in `Reading.names`: statements that may clear a finding, as `VexStatement.as_text` writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """One declared licence: an SPDX expression or id, or a plain name."""

    text: str
    is_expression: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component. `ref` is how vulnerabilities of the same file refer to it."""

    name: str
    version: str = ""
    purl: str = ""
    ref: str = ""
    licences: tuple[Licence, ...] = ()

    def standing(self, denied: frozenset[str]) -> Standing:
        """Return what the deny list makes of all its licences together."""
        return all_of(
            judge_expression(one.text, denied) if one.is_expression else judge_name(one.text, denied)
            for one in self.licences
        )


class Analysis(StrEnum):
    """What a supplier says of a vulnerability (CycloneDX `analysis.state`); absent reads in triage, which is open."""

    RESOLVED = "resolved"
    RESOLVED_WITH_PEDIGREE = "resolved_with_pedigree"
    EXPLOITABLE = "exploitable"
    IN_TRIAGE = "in_triage"
    FALSE_POSITIVE = "false_positive"
    NOT_AFFECTED = "not_affected"

    @property
    def is_open(self) -> bool:
        """Tell whether the vulnerability still stands."""
        return self in (Analysis.EXPLOITABLE, Analysis.IN_TRIAGE)


_CLEARS = frozenset({Analysis.FALSE_POSITIVE, Analysis.NOT_AFFECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """One vulnerability of a bill of material. `ids`: its own first, then its aliases."""

    ids: tuple[str, ...]
    severity: Severity
    title: str = ""
    affects: tuple[str, ...] = ()
    analysis: Analysis = Analysis.IN_TRIAGE
    justification: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether it stands: exploitable, in triage, or set aside without a justification."""
        return self.analysis.is_open or (self.analysis in _CLEARS and not self.justification)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bom:
    """What one CycloneDX or SPDX file holds. `product` is what the file describes; it is no component of itself."""

    reader: str
    components: tuple[Component, ...]
    product: Component | None = None
    vulnerabilities: tuple[Vulnerability, ...] = ()
    tools: tuple[str, ...] = ()
    produced_at: datetime | None = None
    refs: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_ref(self) -> dict[str, Component]:
        """Return components and product by how vulnerabilities refer to them."""
        known = (*self.components, *((self.product,) if self.product else ()))
        return {component.ref: component for component in known if component.ref}

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name of every component and of the product."""
        known = (*self.components, *((self.product,) if self.product else ()))
        return tuple(dict.fromkeys(name for one in known for name in names_of(one)))


def bom_reading(kind: str, bom: Bom, context: ReadContext) -> Reading:
    """Return the reading of a bill of material as `sbom`, `licences`, `vex` or a scan."""
    if kind == "vex":
        return _vex_reading(bom)
    if kind in ("sbom", "licences"):
        return _sbom_reading(kind, bom, context.denied_licences)
    if not bom.components and not bom.vulnerabilities:
        raise nothing_scanned(bom.reader, "component")
    result = ScanResult(
        tools=bom.tools or (bom.reader,),
        findings=_findings(bom, open_only=False),
        targets=len(bom.components) or None,
        exploitable=sum(one.analysis is Analysis.EXPLOITABLE for one in bom.vulnerabilities),
        # Components without a list of vulnerabilities are an inventory; that nothing was found is not said.
        is_proven=False,
        produced_at=bom.produced_at,
        refs=bom.refs,
    )
    return scan_reading(kind, bom.reader, result)


def _sbom_reading(kind: str, bom: Bom, denied: frozenset[str]) -> Reading:
    if not bom.components:
        raise nothing_scanned(bom.reader, "component")
    standings = [component.standing(denied) for component in bom.components]
    findings = distinct(_findings(bom, open_only=True))
    counts = {
        "components": float(len(bom.components)),
        "denied": float(standings.count(Standing.DENIED)),
        "unknown_licence": float(standings.count(Standing.UNKNOWN)),
    }
    refused = [one for one, standing in zip(bom.components, standings, strict=True) if standing is Standing.DENIED]
    return Reading(
        kind=kind,
        reader=bom.reader,
        claims=counts | _vulnerable(findings),
        summary=f"{bom.reader}: {len(standings):,} components, {counts['denied']:g} with a denied licence, "
        f"{counts['unknown_licence']:g} with an unknown one",
        produced_at=bom.produced_at,
        findings=findings,
        refs=bom.refs,
        names={COMPONENTS: bom.names, STATEMENTS: _statements(bom)},
        notes=tuple(f"denied licence: {one.name} {one.version}"[:200] for one in refused[:20]),
    )


def _vex_reading(bom: Bom) -> Reading:
    if not bom.vulnerabilities:
        raise nothing_scanned(bom.reader, "vulnerability")
    findings = distinct(_findings(bom, open_only=True))
    still_open = len({one.ids[0] for one in bom.vulnerabilities if one.is_open})
    return Reading(
        kind="vex",
        reader=bom.reader,
        claims={"components": float(len(bom.components))} | _vulnerable(findings),
        summary=f"{bom.reader}: {len(bom.vulnerabilities)} vulnerabilities judged, {still_open} open",
        produced_at=bom.produced_at,
        findings=findings,
        refs=bom.refs,
        names={STATEMENTS: _statements(bom)},
    )


def _vulnerable(findings: tuple[ToolFinding, ...]) -> dict[str, float]:
    return severity_claims(findings) | {"vulnerable_by_severity": float(len(findings))}


def _findings(bom: Bom, *, open_only: bool) -> tuple[ToolFinding, ...]:
    by_ref = bom.by_ref
    found: list[ToolFinding] = []
    for one in bom.vulnerabilities:
        if open_only and not one.is_open:
            continue
        for ref in one.affects or ("",):
            component = by_ref.get(ref, Component(name=ref))
            found.append(
                ToolFinding(
                    rule=one.ids[0],
                    severity=one.severity,
                    title=one.title,
                    component=component.name,
                    version=component.version,
                    suppressed=not one.is_open,
                )
            )
    return tuple(found)


def names_of(component: Component) -> tuple[str, ...]:
    """Return the names a component goes by (`vex.component_names`)."""
    return component_names(name=component.name, version=component.version, purl=component.purl, ref=component.ref)


def _statements(bom: Bom) -> tuple[str, ...]:
    by_ref = bom.by_ref
    written: list[str] = []
    for one in bom.vulnerabilities:
        if one.analysis not in _CLEARS or not one.justification:
            continue
        for ref in one.affects:
            names = names_of(by_ref[ref]) if ref in by_ref else component_names(ref=ref)
            written.append(VexStatement(advisories=one.ids, components=names).as_text())
    return tuple(written)
