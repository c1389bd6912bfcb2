"""Whether a release has documents of the stage that a space reads (corpus-and-ledger.md 2.5).

Rule: the pin of the space's stage is used, and its corpus must be of that stage today; asked at promotion and of every
request. Fail mode: a corpus that the workspace does not declare is of no stage, so no space reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import CorpusSettings
from pilotage.release.content import ReleaseContent
from pilotage.space.settings import Space


def stage_problem(content: ReleaseContent, space: Space, corpora: Mapping[CorpusName, CorpusSettings]) -> str | None:
    """Return why the release cannot serve the space for the stage of its documents; None when it can, or needs none."""
    if not content.corpora:
        return None
    pin = content.corpora.get(space.data_stage)
    if pin is None:
        return f"This release holds no {space.data_stage} documents, so it cannot serve this space."
    settings = corpora.get(pin.name)
    if settings is None or settings.data_stage is not space.data_stage:
        return f"What this release pins as its {space.data_stage} documents is no corpus of that stage any more."
    return None
