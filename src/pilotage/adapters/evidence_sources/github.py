"""A pull request with its reviews and commits, as the reader of `review.code` wants it (docs.github.com/rest/pulls).

Rule: all pages, and the pull request once more at the end: a push during the reading is an error, never a mixture.
Fail mode: Unavailable.
"""

from __future__ import annotations

import re
from typing import Final

from pilotage.adapters.evidence_sources.rest import RestClient, Service
from pilotage.core.canonical import Form, canonical_bytes
from pilotage.core.errors import Unavailable, UsageError
from pilotage.evidence.json_values import as_text, at

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
_HEADERS: Final = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class GithubReviews:
    """Reads pull requests of GitHub or of GitHub Enterprise Server (its `url` is `https://HOST/api/v3`)."""

    def __init__(self, service: Service) -> None:
        self._client = RestClient(service, headers=_HEADERS)

    def pull_request(self, repository: str, number: int) -> bytes:
        """Return `{pull, reviews, commits, next_page: null}` of `owner/name`; raise UsageError or Unavailable."""
        if not _REPOSITORY.fullmatch(repository) or ".." in repository or number < 1:
            raise UsageError("SOURCE_PULL", f"{repository[:100]!r} #{number} is no pull request.", hint="owner/name")
        path = f"repos/{repository}/pulls/{number}"
        pull = self._client.get(path).value
        reviews = self._client.get_all(f"{path}/reviews", per_page="100")
        commits = self._client.get_all(f"{path}/commits", per_page="100")
        head = as_text(at(pull, "head", "sha"))
        if not head or as_text(at(self._client.get(path).value, "head", "sha")) != head:
            raise Unavailable(
                "source_changed", f"{repository} #{number} changed while it was read.", hint="Read again."
            )
        document = {"pull": pull, "reviews": reviews, "commits": commits, "next_page": None}
        return canonical_bytes(document, form=Form.PLAIN)
