"""Code quality from SonarQube: gate status, ratings and the score over them (gates.md 2.6).

Reads `{project_status, measures, analyses?}`, the answers of `api/qualitygates/project_status`,
`api/measures/component` and `api/project_analyses/search` in one file, either answer alone, or a sonar-report file.
Rule: score = max(0, mean of the four ratings - min(10, duplicated %)), A..E = 100, 85, 70, 40, 0. Fail mode: a missing
rating or duplication leaves the score absent; an `OK` gate beside a failed condition is EV_INCONSISTENT.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_list, as_map, as_number, as_text, at, maps_in, number_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.shapes import objects
from pilotage.evidence.sonarqube import is_report, listed_issues
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import file_time

READER = "SonarQube quality"
POINTS: Mapping[str, float] = {"A": 100.0, "B": 85.0, "C": 70.0, "D": 40.0, "E": 0.0}
"""Points of a rating."""

_RATINGS = (
    ("reliability_rating", "software_quality_reliability_rating"),
    ("security_rating", "software_quality_security_rating"),
    ("sqale_rating", "software_quality_maintainability_rating"),
    ("security_review_rating",),
)
_GATE = {"OK": 1.0, "ERROR": 0.0, "WARN": 0.0}


def is_quality(content: Content) -> bool:
    """Tell the answers of SonarQube's quality API, alone or together, or a sonar-report file."""
    if not isinstance(content, JsonContent):
        return False
    value = as_map(content.value)
    if is_report(content) or {"projectStatus", "project_status"} & value.keys():
        return True
    return "measures" in value or "measures" in as_map(value.get("component"))


def quality_score(ratings: tuple[str, ...], duplicated_percent: float) -> float:
    """Return the score in [0, 100] of four ratings `A`..`E` and the duplicated lines in percent."""
    return max(0.0, sum(POINTS[rating] for rating in ratings) / len(ratings) - min(10.0, duplicated_percent))


def read_quality(source: Source, context: ReadContext) -> Reading:
    """Return gate, ratings and score; raise Unreadable as the module says."""
    del context
    value = as_map(source.json)
    claims = _report_claims(value) if is_report(source.content) else {}
    status = _status(value)
    claims |= _gate_claims(status) | _measured_claims(_measures(value))
    revision, date = _analysis(value)
    if not claims and not status:
        raise Unreadable("EV_EMPTY", "The file holds neither a gate status nor a measure.", observed="0")
    score = claims.get("score")
    return Reading(
        kind=source.kind,
        reader=READER,
        claims=claims,
        summary=f"SonarQube: gate {as_text(status.get('status')) or 'unknown'}, score "
        f"{'unknown' if score is None else f'{score:g}'}",
        produced_at=file_time(date),
        refs={"commit": revision} if revision else {},
    )


def _status(value: Mapping[str, Json]) -> Mapping[str, Json]:
    places = (("projectStatus",), ("project_status", "projectStatus"), ("qualityGateStatus", "projectStatus"))
    found = [as_map(at(value, *place)) for place in places]
    return next((status for status in found if status), as_map(value.get("project_status")))


def _gate_claims(status: Mapping[str, Json]) -> dict[str, float]:
    gate = as_text(status.get("status"))
    conditions = [as_text(one.get("status")) for one in maps_in(status.get("conditions"))]
    if gate == "OK" and "ERROR" in conditions:
        failed = conditions.count("ERROR")
        raise Unreadable("EV_INCONSISTENT", f"The gate is OK beside {failed} failed conditions.", observed=f"{failed}")
    return {"gate_ok": _GATE[gate]} if gate in _GATE else {}


def _measures(value: Mapping[str, Json]) -> Mapping[str, Json]:
    places = (("component", "measures"), ("measures", "component", "measures"), ("measures",))
    lists = [at(value, *place) for place in places]
    listed = next((one for one in lists if as_list(one)), None)
    found: dict[str, Json] = {}
    for one in objects(listed, "measures"):
        name = as_text(one.get("metric"))
        if name in found:
            raise Unreadable("EV_INCONSISTENT", f"The metric {name} stands twice.", observed=name)
        found[name] = one.get("value", at(one, "period", "value"))
    return found


def _measured_claims(measures: Mapping[str, Json]) -> dict[str, float]:
    ratings = tuple(rating for names in _RATINGS if (rating := _rating(measures, names)))
    duplicated = _number(measures.get("duplicated_lines_density"))
    if duplicated is not None and not 0 <= duplicated <= 100:
        raise Unreadable("EV_INCONSISTENT", "Duplication is no percentage.", observed=f"{duplicated:g}", limit="0..100")
    optional = {
        "duplicated": None if duplicated is None else duplicated / 100,
        "hotspots_to_review": _number(measures.get("security_hotspots")),
        "new_issues": _number(measures.get("new_violations")),
    }
    claims = {name: value for name, value in optional.items() if value is not None}
    if ratings:
        claims["ratings"] = float(len(ratings))
    if len(ratings) == len(_RATINGS) and duplicated is not None:
        claims["score"] = quality_score(ratings, duplicated)
    return claims


def _rating(measures: Mapping[str, Json], names: tuple[str, ...]) -> str:
    """Return the worst of a rating's names: SonarQube may send the standard and the multi-quality one."""
    letters = [letter for name in names if (letter := _letter(measures.get(name)))]
    return max(letters, default="")


def _letter(value: Json) -> str:
    text = as_text(value).upper()
    if text in POINTS:
        return text
    number = _number(value)
    return "ABCDE"[int(number) - 1] if number in (1, 2, 3, 4, 5) else ""


def _number(value: Json) -> float | None:
    return number_in(value) if isinstance(value, str) else as_number(value)


def _report_claims(value: Mapping[str, Json]) -> dict[str, float]:
    issues = listed_issues(value)
    return {"hotspots_to_review": float(sum(one.get("status") == "TO_REVIEW" for one in issues))}


def _analysis(value: Mapping[str, Json]) -> tuple[str, str]:
    listed = as_list(at(value, "analyses", "analyses")) or as_list(value.get("analyses"))
    newest = as_map(next(iter(listed), value.get("analysis")))
    return as_text(newest.get("revision")), as_text(newest.get("date"))
