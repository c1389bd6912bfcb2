"""Whether a run met its release at all: one that it mostly could not reach has no verdict (evaluation.md 8).

Rule: only `completed` gets a verdict, and most questions that reached nobody complete nothing: the run is FAILED, no
attempt and no evidence, and goes on where it stopped, three times at most. A NO-GO over what was answered stands. Fail
mode: half of the questions, or fewer, count against the release as ever, as does every error of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pilotage.core.reason import Reason
from pilotage.evaluation.criteria import Verdict

UNREACHED: Final = "TARGET_UNREACHED"
MOST_FAILED: Final = 3
"""How often a run may fail; the next time it ends as it stands, and is an attempt."""

_AWAY: Final = frozenset(
    {"unreached", "timeout", "upstream_failed", "upstream_timeout", "deadline_exceeded", "store_unavailable"}
)
"""How a question ends that says nothing of the release, as a run and as a look of the permission suite call it."""
_GOES_ON: Final = "What was answered is not asked again."
_WHOLE: Final = "It asks everything again."


def unreached_reason(
    run: str, verdict: str, *, failures: Collection[str], asked: int, failed_before: int = 0, is_whole: bool = False
) -> Reason | None:
    """Return why a run has failed, None where it has not.

    `failures`: how each question without an answer ended; `is_whole`: it is not gone on with but begun anew.
    """
    away = [one for one in failures if one in _AWAY]
    if verdict != Verdict.INCONCLUSIVE.value or 2 * len(away) <= asked or failed_before >= MOST_FAILED:
        return None
    text = (
        f"{len(away):,} of {asked:,} questions reached nobody ({', '.join(sorted(set(away)))}). The run says"
        " nothing of its release and is no attempt. Once the release answers, go on with it: pilotage evaluate resume"
        f" {run}. {_WHOLE if is_whole else _GOES_ON}"
    )
    return Reason(code=UNREACHED, text=text, observed=f"{len(away)}", limit=f"{asked // 2}")
