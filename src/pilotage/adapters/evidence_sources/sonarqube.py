"""Gate status, ratings and analysed commit of a SonarQube project, as the reader of `quality` wants them.

Source: SonarQube Web API `project_analyses/search`, `qualitygates/project_status`, `measures/component`. Rule: the
status is that of the newest analysis by its key, and the measures count only if no newer one arrived meanwhile. Fail
mode: Unavailable.
"""

from __future__ import annotations

from typing import Final

from pilotage.adapters.evidence_sources.rest import RestClient, Service
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.errors import Unavailable
from pilotage.evidence.json_values import as_list, as_text, at

METRICS: Final = (
    "reliability_rating",
    "security_rating",
    "sqale_rating",
    "security_review_rating",
    "duplicated_lines_density",
    "security_hotspots",
    "new_violations",
)


class SonarQubeQuality:
    """Reads projects of one SonarQube server or of SonarQube Cloud."""

    def __init__(self, service: Service) -> None:
        self._client = RestClient(service)

    def quality(self, project: str, *, branch: str = "") -> bytes:
        """Return `{project_status, measures, analyses}` of a project's newest analysis; raise Unavailable."""
        analyses = self._newest(project, branch)
        key = _key(analyses)
        if not key:
            raise Unavailable("source_empty", f"{project[:200]} was never analysed.", hint="Run the analysis first.")
        status = self._client.get("api/qualitygates/project_status", analysisId=key).value
        measures = self._client.get(
            "api/measures/component", component=project, branch=branch, metricKeys=",".join(METRICS)
        ).value
        if _key(self._newest(project, branch)) != key:
            raise Unavailable(
                "source_changed", f"{project[:200]} was analysed again while it was read.", hint="Read again."
            )
        document = {"project_status": status, "measures": measures, "analyses": analyses}
        return canonical_bytes(document, form=Form.PLAIN)

    def _newest(self, project: str, branch: str) -> Json:
        return self._client.get("api/project_analyses/search", project=project, branch=branch, ps="1").value


def _key(analyses: Json) -> str:
    listed = as_list(at(analyses, "analyses"))
    return as_text(at(listed[0], "key")) if listed else ""
