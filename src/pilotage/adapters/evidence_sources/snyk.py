"""All issues of one Snyk project from the REST API, as the reader of scans wants them (apidocs.snyk.io).

Rule: ignored issues are fetched too, and every page, by `links.next`. Fail mode: Unavailable.
"""

from __future__ import annotations

import re
from typing import Final

from pilotage.adapters.evidence_sources.rest import MAX_PAGES, RestClient, Service
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.errors import Unavailable, UsageError
from pilotage.evidence.json_values import as_text, at

VERSION: Final = "2024-10-15"
_ID = re.compile(r"[0-9a-fA-F-]{36}")


class SnykIssues:
    """Reads projects of one Snyk organisation; a region has a `url` of its own (`https://api.eu.snyk.io`)."""

    def __init__(self, organisation: str, service: Service) -> None:
        self._organisation = _checked(organisation, "organisation")
        self._client = RestClient(service, scheme="token")

    def issues(self, project: str) -> bytes:
        """Return `{jsonapi, data, links}` with the issues of all pages; raise UsageError or Unavailable."""
        query = {"version": VERSION, "scan_item.id": _checked(project, "project"), "scan_item.type": "project"}
        answer = self._client.get(f"rest/orgs/{self._organisation}/issues", limit="100", **query)
        found: list[Json] = []
        for _ in range(MAX_PAGES):
            data = at(answer.value, "data")
            if not isinstance(data, list):
                raise Unavailable("source_answer", "Snyk did not answer with a list of issues.")
            found += data
            following = as_text(at(answer.value, "links", "next"))
            if not following:
                document: Json = {"jsonapi": {"version": "1.0"}, "data": found, "links": {}}
                return canonical_bytes(document, form=Form.PLAIN)
            # The link is a path, with or without the prefix of the API.
            answer = self._client.get_path(following if following.startswith("/rest/") else f"/rest{following}")
        raise Unavailable("source_pages", f"The project has more than {MAX_PAGES} pages of issues.")


def _checked(identifier: str, what: str) -> str:
    if not _ID.fullmatch(identifier):
        raise UsageError("SOURCE_ID", f"{identifier[:80]!r} is no id of a Snyk {what}.", hint="Copy it from its page.")
    return identifier
