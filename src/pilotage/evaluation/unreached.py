"""Whether a run met its release at all: one that it mostly could not reach has no verdict (evaluation.md 8).

Rule: only `completed` gets a verdict, and most questions without an answer complete nothing: the run is FAILED, no
attempt and no evidence, and goes on where it stopped. A NO-GO over what was answered stands. Fail mode: half of the
answers missing, or fewer, count against the release as ever.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pilotage.core.reason import Reason
from pilotage.evaluation.criteria import Verdict

UNREACHED: Final = "TARGET_UNREACHED"


def unreached_reason(run: str, verdict: str, *, failures: Collection[str], asked: int) -> Reason | None:
    """Return why a run has failed, None where it has not. `failures`: how each question without an answer ended."""
    if verdict != Verdict.INCONCLUSIVE.value or 2 * len(failures) <= asked:
        return None
    text = (
        f"{len(failures):,} of {asked:,} questions got no answer ({', '.join(sorted(set(failures)))}). The run says"
        " nothing of its release and is no attempt. Once the release answers, go on with it: pilotage evaluate resume"
        f" {run}. What was answered is not asked again."
    )
    return Reason(code=UNREACHED, text=text, observed=f"{len(failures)}", limit=f"{asked // 2}")
