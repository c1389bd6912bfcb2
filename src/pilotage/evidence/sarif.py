"""SARIF 2.1.0 (OASIS), the exchange format of static analysis, for every scan kind (gates.md 2.6).

Rule: score before level, and level from the result, else its rule, else `warning`; only `kind: fail` that is not
`absent` is a finding; a suppression hides nothing. Fail mode: no run or no `results` is EV_EMPTY, an unsuccessful
invocation EV_TOOL_FAILED whatever results stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_number, as_text, at
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import SARIF_LEVELS, highest, of_rating, of_word
from pilotage.evidence.shapes import mapped, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import earliest, file_time

READER = "SARIF"
_KINDS = frozenset({"notApplicable", "pass", "fail", "review", "open", "informational"})
_UNDECIDED = frozenset({"review", "open"})
_VERIFIED = frozenset({"confirmed_valid", "verified", "valid", "active"})


def is_sarif(content: Content) -> bool:
    """Tell a SARIF log by its `runs` beside a version or schema."""
    if not isinstance(content, JsonContent):
        return False
    log = as_map(content.value)
    return "runs" in log and ("version" in log or "sarif" in as_text(log.get("$schema")))


def read_sarif(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all runs; raise Unreadable as the module says."""
    del context
    log = as_map(source.json)
    if log.get("version") != "2.1.0":
        raise Unreadable("EV_UNSUPPORTED", "Only SARIF 2.1.0 is read.", observed=str(log.get("version")), limit="2.1.0")
    runs = objects(log.get("runs"), "runs")
    if not runs:
        raise nothing_scanned(READER, "run")
    for run in runs:
        _refuse_failure(run)
    parts = [_read_run(run, number) for number, run in enumerate(runs)]
    targets = [part.targets for part in parts if part.targets is not None]
    result = ScanResult(
        tools=tuple(part.tools[0] for part in parts),
        findings=tuple(finding for part in parts for finding in part.findings),
        targets=sum(targets) if len(targets) == len(parts) else None,
        unaudited=sum(part.unaudited or 0 for part in parts),
        verified=frozenset().union(*(part.verified for part in parts)),
        is_proven=all(part.is_proven for part in parts),
        produced_at=earliest(part.produced_at for part in parts),
        refs=_commit(runs),
    )
    return scan_reading(source.kind, READER, result)


def _refuse_failure(run: Mapping[str, Json]) -> None:
    for invocation in objects(run.get("invocations"), "invocations"):
        if invocation.get("executionSuccessful", True) is not True:
            notice = next(iter(_error_notices(invocation)), "")
            raise Unreadable(
                "EV_TOOL_FAILED",
                f"{_tool(run)} says its run did not succeed{': ' + notice[:160] if notice else ''}. Run it again.",
                observed=f"{len(as_list(run.get('results')))} results",
            )


def _read_run(run: Mapping[str, Json], number: int) -> ScanResult:
    if run.get("results") is None:
        if at(dict(run), "externalPropertyFileReferences", "results") is not None:
            raise Unreadable("EV_PARTIAL", f"Run {number} keeps its results in another file; write one file.")
        raise nothing_scanned(READER, f"results in run {number} ({_tool(run)})")
    rules = _Rules.of(run)
    invocations = objects(run.get("invocations"), "invocations")
    artifacts = as_list(run.get("artifacts"))
    results = [one for one in objects(run.get("results"), "results") if one.get("baselineState") != "absent"]
    judged = [(_kind(one), one) for one in results]
    found = [(one, _finding(one, rules.of_result(one))) for kind, one in judged if kind == "fail"]
    notices = sum(len(_error_notices(invocation)) for invocation in invocations)
    return ScanResult(
        tools=(_tool(run),),
        findings=tuple(finding for _, finding in found),
        targets=len(artifacts) or None,
        unaudited=notices + sum(kind in _UNDECIDED for kind, _ in judged),
        verified=frozenset(finding.key for one, finding in found if _is_verified(one)),
        is_proven=bool(artifacts) or any(each.get("executionSuccessful") is True for each in invocations),
        produced_at=earliest(file_time(as_text(each.get("endTimeUtc"))) for each in invocations),
    )


def _kind(result: Mapping[str, Json]) -> str:
    kind = result.get("kind", "fail")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise Unreadable("EV_MALFORMED", "A result has a kind SARIF does not know.", observed=str(kind)[:40])
    return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """The rules of a run: of the driver in order, and of driver and extensions by id."""

    driver: Sequence[Json]
    by_id: Mapping[str, Mapping[str, Json]]

    @classmethod
    def of(cls, run: Mapping[str, Json]) -> _Rules:
        tool = mapped(run.get("tool"), "tool")
        driver = as_list(at(tool, "driver", "rules"))
        extensions = [rule for one in as_list(tool.get("extensions")) for rule in as_list(as_map(one).get("rules"))]
        known = [as_map(rule) for rule in (*extensions, *driver)]
        return cls(driver=driver, by_id={as_text(rule.get("id")): rule for rule in known})

    def of_result(self, result: Mapping[str, Json]) -> Mapping[str, Json]:
        named = as_text(result.get("ruleId")) or as_text(at(result, "rule", "id"))
        if named:
            # SARIF 3.27.5: an id may go on hierarchically behind the rule's own ("CA1000/1").
            return self.by_id.get(named) or self.by_id.get(named.rpartition("/")[0]) or {}
        index = as_number(result.get("ruleIndex"))
        index = as_number(at(result, "rule", "index")) if index is None else index
        if index is None or not 0 <= index < len(self.driver):
            return {}
        return as_map(self.driver[int(index)])


def _finding(result: Mapping[str, Json], rule: Mapping[str, Json]) -> ToolFinding:
    message = mapped(result.get("message"), "message")
    suppressions = as_list(result.get("suppressions"))
    parts = [as_text(message.get("text")) or as_text(message.get("id"))]
    parts += [as_text(argument) for argument in as_list(message.get("arguments"))]
    return ToolFinding(
        rule=as_text(result.get("ruleId")) or as_text(at(result, "rule", "id")) or as_text(rule.get("id")) or "no rule",
        severity=_severity(result, rule),
        title=" ".join(part for part in parts if part)[:500],
        location=_location(result),
        suppressed=bool(suppressions),
    )


def _severity(result: Mapping[str, Json], rule: Mapping[str, Json]) -> Severity:
    rated = [of_rating(at(one, "properties", "security-severity")) for one in (result, rule)]
    if any(one is not None for one in rated):
        return highest(rated)
    level = result.get("level", at(rule, "defaultConfiguration", "level"))
    return of_word("warning" if level is None else str(level), SARIF_LEVELS) or Severity.UNKNOWN


def _location(result: Mapping[str, Json]) -> str:
    first = as_map(next(iter(as_list(result.get("locations"))), None))
    physical = as_map(first.get("physicalLocation"))
    uri = as_text(at(physical, "artifactLocation", "uri"))
    region = as_map(physical.get("region"))
    place = [region.get(name) for name in ("startLine", "startColumn")]
    steps = [uri, *(str(step) for step in place if isinstance(step, int))]
    logical = as_map(next(iter(as_list(first.get("logicalLocations"))), None))
    return ":".join(step for step in steps if step) or as_text(logical.get("fullyQualifiedName"))


def _is_verified(result: Mapping[str, Json]) -> bool:
    properties = as_map(result.get("properties"))
    if properties.get("verified") is True:
        return True
    states = (properties.get("validation_state"), properties.get("validity"))
    return any(as_text(state).lower() in _VERIFIED for state in states)


def _error_notices(invocation: Mapping[str, Json]) -> list[str]:
    names = ("toolExecutionNotifications", "toolConfigurationNotifications")
    notices = [as_map(one) for name in names for one in as_list(invocation.get(name))]
    return [as_text(at(one, "message", "text")) for one in notices if one.get("level") == "error"]


def _tool(run: Mapping[str, Json]) -> str:
    return as_text(at(as_map(run.get("tool")), "driver", "name")) or "a tool without a name"


def _commit(runs: Sequence[Mapping[str, Json]]) -> dict[str, str]:
    provenance = [one for run in runs for one in as_list(run.get("versionControlProvenance"))]
    revisions = {as_text(as_map(one).get("revisionId")) for one in provenance} - {""}
    return {"commit": revisions.pop()} if len(revisions) == 1 else {}
